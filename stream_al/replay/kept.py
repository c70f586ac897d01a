"""Outcomes of finished runs as files, so that a long comparison can be gone on with, or grow."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import msgspec
import numpy as np

from stream_al.errors import ConfigError
from stream_al.replay.outcome import Asked, Outcome
from stream_al.replay.plan import Cell, Plan

_ARRAYS: Final = ("truth", "predicted", "chance", "confidence", "asked", "waits")


class Kept:
    """A directory with a file for each run, named for all that decides its outcome.

    Parameters
    ----------
    folder
        Made if it does not exist.
    plan
        What the runs are of.
    digest
        Of the stream.

    Raises
    ------
    ConfigError
        When it is no directory that can be written.
    """

    def __init__(self, folder: Path, plan: Plan, digest: str) -> None:
        self._folder, self._plan, self._digest = folder, plan, digest
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--keep {folder}: {error.strerror}; name another directory") from None

    def path(self, cell: Cell) -> Path:
        """Return the file of a run."""
        return self._folder / f"{self._plan.fingerprint(self._digest, cell)}.npz"

    def load(self, cell: Cell) -> Outcome | None:
        """Return what a run gave; None if it was not run to its end."""
        path = self.path(cell)
        try:
            with path.open("rb") as stored, np.load(stored, allow_pickle=False) as file:
                head: dict[str, Any] = json.loads(str(file["head"]))
                arrays = {name: file[name] for name in _ARRAYS}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None
        return Outcome(
            name=head["name"],
            title=head["title"],
            classes=tuple(head["classes"]),
            answered=head["answered"],
            questions=tuple(Asked(*question) for question in head["questions"]),
            notes=tuple(head["notes"]),
            **arrays,
        )

    def save(self, cell: Cell, outcome: Outcome) -> None:
        """Keep what a run gave."""
        head = {name: getattr(outcome, name) for name in ("name", "title", "classes", "answered", "notes")}
        head["questions"] = [list(question) for question in outcome.questions]
        path = self.path(cell)
        half = path.with_suffix(f".{os.getpid()}.part")
        try:
            with half.open("wb") as file:
                text = msgspec.json.encode(head).decode()
                np.savez_compressed(
                    file, head=np.array(text), **{name: getattr(outcome, name) for name in _ARRAYS}
                )
            half.replace(path)
        except OSError as error:
            raise ConfigError(
                f"--keep {self._folder}: {error.strerror}; make room, or name another"
            ) from None
