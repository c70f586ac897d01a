"""The worker processes of `stream-al demo --kafka`: the same `stream-al run` as anywhere."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from stream_al.errors import SourceError

_STOP_SECONDS: Final = 60.0
"""A worker ends within its transaction timeout, and a busy machine may need a while to write its summary."""
_TOLD: Final = 12
"""Lines of a worker's log that are shown."""


class WorkerProcess:
    """One `stream-al run`, with its standard output and error in files beside the configuration.

    It is in a process group of its own, so that a Ctrl-C meets whoever started it first.
    """

    def __init__(self, config: Path, name: str) -> None:
        self.name = name
        self.log = config.with_name(f"{name}.log")
        self._config = config
        self._summary = config.with_name(f"{name}.json")
        self.log.unlink(missing_ok=True)
        self._process = self._start("stopped")

    def _start(self, until: str) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "stream_al",
            "run",
            str(self._config),
            "--until",
            until,
            "--quiet",
            "--json",
        ]
        environment = os.environ | {"STREAM_AL_KAFKA__INSTANCE": self.name, "NO_COLOR": "1"}
        with self._summary.open("wb") as out, self.log.open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=environment, process_group=0
            )

    def check(self) -> None:
        """Make sure that it runs.

        Raises
        ------
        SourceError
            When it has ended; with the end of what it said.
        """
        if self._process.poll() is not None:
            raise self._failure("ended")

    def end(self) -> None:
        """Tell it to finish what it is at and leave (SIGTERM)."""
        if self._process.poll() is None:
            self._process.terminate()

    def summary(self) -> dict[str, Any]:
        """Wait until it has ended, and return what it said of itself.

        Raises
        ------
        SourceError
            When it did not end as it should.
        """
        try:
            code = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self._failure(f"did not end within {_STOP_SECONDS:.0f} seconds and was killed") from None
        if code:
            raise self._failure("ended")
        found: dict[str, Any] = json.loads(self._summary.read_bytes())
        return found

    def read_on(self) -> dict[str, Any]:
        """Start it once more, to read the log of examples to its end, and return what it said then."""
        self._process = self._start("answered")
        return self.summary()

    def kill(self) -> None:
        """End it at once."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def notes(self) -> list[str]:
        """Return what it told on the way."""
        return self.log.read_text("utf-8", "replace").splitlines() if self.log.exists() else []

    def _failure(self, what: str) -> SourceError:
        code = self._process.returncode
        how = f"by signal {signal.Signals(-code).name}" if code and code < 0 else f"with exit code {code}"
        said = self.notes()[-_TOLD:] or ["(nothing)"]
        told = "\n  ".join(said)
        return SourceError(f"{self.name} {what} {how}; the end of its log, {self.log}:\n  {told}")


class WorkerGroup:
    """Worker processes that are started together; as a context manager it leaves none behind."""

    def __init__(self, config: Path, names: Sequence[str]) -> None:
        self._config = config
        self._names = names
        self.workers: list[WorkerProcess] = []

    def __enter__(self) -> Self:
        try:
            for name in self._names:
                self.workers.append(WorkerProcess(self._config, name))
        except BaseException:
            self._clear()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()

    def _clear(self) -> None:
        for worker in self.workers:
            worker.end()
        for worker in self.workers:
            with contextlib.suppress(SourceError, ValueError):
                worker.summary()
            worker.kill()

    def check(self) -> None:
        """Make sure that all run; see `WorkerProcess.check`."""
        for worker in self.workers:
            worker.check()

    def stop(self) -> dict[str, dict[str, Any]]:
        """End all of them in order; return what each said of itself, by its name."""
        for worker in self.workers:
            worker.end()
        return {worker.name: worker.summary() for worker in self.workers}

    def notes(self) -> list[str]:
        """Return what they told on the way, with their names; what one repeats is told once, with the number."""
        told = Counter((worker.name, line) for worker in self.workers for line in worker.notes())
        return [
            f"{name}: {line}" + (f" ({count:,} times)" if count > 1 else "")
            for (name, line), count in told.items()
        ]
