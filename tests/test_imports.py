"""What a start imports. Not how long it takes, which depends on the machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import stream_al

ROOT = Path(__file__).parents[1]

HEAVY = {
    "river",
    "numpy",
    "scipy",
    "pandas",
    "pydantic",
    "msgspec",
    "connectors",
    "matplotlib",
    "pydantic_settings",
}


def imported_by(code: str) -> set[str]:
    code += "\nimport sys; print('\\n'.join(sys.modules), file=sys.stderr)"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
        ).stderr.split()
    )


def test_importing_stream_al_imports_none_of_its_modules_until_a_name_is_asked_for() -> None:
    found = imported_by("import stream_al")
    assert not {name for name in found if name.startswith("stream_al.")}
    assert not found & HEAVY
    assert "stream_al.desk_rules" in imported_by("from stream_al import DeskRules")


def test_every_public_name_is_imported_without_connectors_and_command_line() -> None:
    found = imported_by("import stream_al; [getattr(stream_al, name) for name in stream_al.__all__]")
    assert "river" in found
    assert not found & {"connectors", "typer", "rich", "matplotlib", "pydantic_settings"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(stream_al, "Oracle")


def test_the_help_imports_no_library_that_only_commands_need() -> None:
    code = "import sys; from stream_al.cli.app import app; sys.argv = ['stream-al', '--help']; app(standalone_mode=False)"
    found = imported_by(code)
    assert "typer" in found
    assert not found & (HEAVY | {"rich.live", "rich.progress", "kafka", "confluent_kafka"})
    assert {name for name in found if name.startswith("stream_al.") and "cli" not in name} == {
        "stream_al.errors"
    }
