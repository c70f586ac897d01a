"""What the README says runs when pasted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import stream_al

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_library_example_runs_and_is_short() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], text=True, capture_output=True, cwd=ROOT, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "a None 0.00 asked"
    assert "  learned: example" in lines
    assert len([line for line in lines if not line.startswith(" ")]) == 4


def test_the_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_public_namespace_is_what_it_says() -> None:
    assert sorted(stream_al.__all__) == list(stream_al.__all__)
    for name in stream_al.__all__:
        assert getattr(stream_al, name).__doc__, f"{name} has no docstring"
