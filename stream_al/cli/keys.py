"""Reading keys and lines from a terminal."""

from __future__ import annotations

import codecs
import os
import re
import select
import signal
import sys
import termios
import tty
from types import FrameType, TracebackType
from typing import Any, Final

ENTER: Final = "<enter>"
ESCAPE: Final = "<escape>"
BACKSPACE: Final = "<backspace>"
UP: Final = "<up>"
DOWN: Final = "<down>"
PAGE_UP: Final = "<page-up>"
PAGE_DOWN: Final = "<page-down>"
UNDO: Final = "<undo>"
RESIZED: Final = "<resized>"
STOP: Final = "<stop>"
PASTE: Final = "<paste>"
"""What follows it was pasted, so it is text and no keys."""

_NAMED: Final = {
    "\r": ENTER, "\n": ENTER, "\x7f": BACKSPACE, "\b": BACKSPACE, "\x1a": UNDO, "\x04": STOP, "\x03": STOP,
    "\x1b[A": UP, "\x1b[B": DOWN, "\x1bOA": UP, "\x1bOB": DOWN, "\x1b[5~": PAGE_UP, "\x1b[6~": PAGE_DOWN,
}  # fmt: skip
_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)", re.DOTALL)
_PASTED: Final = re.compile(r"\x1b\[200~(.*?)\x1b\[201~", re.DOTALL)
_ESCAPE_SECONDS: Final = 0.05
"""How long the rest of a sequence may take after an escape, before that is the escape key itself."""


# ── the terminal ─────────────────────────────────────────────────────────────────────────────────


class Input:
    """Bytes from a file descriptor, and the signals that arrive while waiting for them.

    SIGINT, SIGTERM and SIGHUP end the input instead of the process, so that drafts can be sent.
    """

    def __init__(self, descriptor: int) -> None:
        self._in = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._buffer = ""
        self._ended = False
        self._stopped = False
        self._resized = False

    def __enter__(self) -> Input:
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._waker, False)
        self._wakeup_before = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH)
        self._handlers: dict[signal.Signals, Any] = {n: signal.signal(n, self._note) for n in numbers}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._wake)
        os.close(self._waker)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGWINCH:
            self._resized = True
        else:
            self._stopped = True

    def _fill(self, timeout: float | None) -> bool:
        """Wait for more input; return whether some came."""
        if self._stopped or self._ended:
            return False
        ready, _, _ = select.select([self._in, self._wake], [], [], timeout)
        if self._wake in ready:
            os.read(self._wake, 1024)
        if self._in not in ready or self._stopped:
            return False
        try:
            found = os.read(self._in, 65_536)
        except OSError:  # the terminal is gone
            found = b""
        self._buffer += self._decoder.decode(found, final=not found)
        self._ended = not found
        return True

    def line(self) -> str | None:
        """Return the next line, without its end; None when there is none any more."""
        while "\n" not in self._buffer and not self._stopped and not self._ended:
            self._fill(None)
        if self._stopped or not self._buffer:
            return None
        line, _, self._buffer = self._buffer.partition("\n")
        return line.rstrip("\r")

    def key(self, timeout: float) -> str | None:
        """Return the next key: a character, or one of this module's names; None after ``timeout`` seconds."""
        if not self._buffer:
            self._fill(timeout)
        if self._stopped or (self._ended and not self._buffer):
            return STOP
        if self._resized:
            self._resized = False
            return RESIZED
        while self._buffer.startswith("\x1b") and not self._complete() and self._fill(_ESCAPE_SECONDS):
            pass
        return self._next() if self._buffer else None

    def _complete(self) -> bool:
        if self._buffer.startswith("\x1b[200~"):
            return "\x1b[201~" in self._buffer
        return _SEQUENCE.match(self._buffer) is not None

    def _next(self) -> str | None:
        if pasted := _PASTED.match(self._buffer):
            self._buffer = self._buffer[pasted.end() :]
            return PASTE + pasted[1]
        sequence = _SEQUENCE.match(self._buffer)
        raw = sequence[0] if sequence else self._buffer[0]
        self._buffer = self._buffer[len(raw) :]
        if raw == "\x1b":
            return ESCAPE
        named = _NAMED.get(raw)
        return named or (raw if raw.isprintable() else None)


class Keyboard(Input):
    """A terminal that gives each key as it is pressed, and gets its old ways back afterwards."""

    def __enter__(self) -> Keyboard:
        super().__enter__()
        self._modes = termios.tcgetattr(self._in)
        tty.setcbreak(self._in, termios.TCSAFLUSH)
        modes = termios.tcgetattr(self._in)
        modes[6][termios.VSUSP] = b"\x00"  # Ctrl-Z is undo here; a suspended screen would keep the terminal
        termios.tcsetattr(self._in, termios.TCSANOW, modes)
        sys.stdout.write("\x1b[?2004h")  # have pastes marked: a pasted text must not answer anything
        sys.stdout.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            termios.tcsetattr(self._in, termios.TCSAFLUSH, self._modes)
            sys.stdout.write("\x1b[?2004l")
            sys.stdout.flush()
        except (OSError, termios.error):
            pass  # the terminal is gone, and nobody is left to want it back
        finally:
            super().__exit__(kind, error, trace)
