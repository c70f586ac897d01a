"""What reports need to be installed, and a place to be written to: checked before anything is run."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from stream_al.errors import ConfigError


def require_extra() -> None:
    """Raise ConfigError, naming the extra, when reports and pictures cannot be made."""
    for name in ("matplotlib", "jinja2"):
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"reports need {name}, of the `plot` extra: pip install 'stream-al[plot]'")


def require_writable(files: Mapping[str, Path | None]) -> None:
    """Raise ConfigError before anything is run when a picture or page could not be written afterwards.

    Parameters
    ----------
    files
        Paths by the name of the option that gave them; None where it was not given.
    """
    for option, path in files.items():
        if path is None:
            continue
        require_extra()
        if path.is_dir() or not path.resolve().parent.is_dir():
            raise ConfigError(f"{option} {path}: not a file in a directory that exists; name another")
