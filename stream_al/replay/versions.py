"""The versions that results depend on."""

from __future__ import annotations

import platform
from importlib import metadata


def versions() -> dict[str, str]:
    """Return the version of Python and of everything that decides a number, by name."""
    found = {"Python": platform.python_version()}
    for name in ("stream-al", "river", "numpy"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from a checkout
            from stream_al import __version__

            found[name] = __version__
    return found
