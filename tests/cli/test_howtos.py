"""What the how-tos say runs when pasted, in the order they say it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
HOWTOS = [
    "corrections.md", "howto-annotate.md", "howto-probe.md", "howto-replay.md", "howto-representatives.md",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", HOWTOS)
def test_every_command_of_a_howto_runs(name, tmp_path):
    blocks = re.findall(r"```(sh|python)\n(.*?)```", (ROOT / "docs" / name).read_text("utf-8"), re.DOTALL)
    commands = [text if kind == "sh" else f"python - <<'END'\n{text}END" for kind, text in blocks]
    assert commands
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    for command in commands:
        done = subprocess.run(
            command, shell=True, text=True, capture_output=True, cwd=tmp_path, env=environment, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
