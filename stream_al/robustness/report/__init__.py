"""The findings of a probe as one HTML page that needs nothing else.

``pairs`` says what is shown of an event before and after, ``curve`` draws how much is fooled by how little. Needs the
``plot`` extra.
"""

from __future__ import annotations

from pathlib import Path

from stream_al.errors import ConfigError
from stream_al.robustness.pictures import Grid
from stream_al.robustness.probe import Findings
from stream_al.robustness.report.page import render
from stream_al.robustness.setting import Setting

__all__ = ["render", "write_page"]


def write_page(findings: Findings, setting: Setting, path: Path, grid: Grid | None = None) -> None:
    """Write the page.

    Raises
    ------
    ConfigError
        When the ``plot`` extra is not installed, or the file cannot be written.
    """
    try:
        path.write_text(render(findings, setting, grid), "utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}; name another path") from error
