"""Keys: which class each stands for, reading them from a terminal, and what each does to a session."""

from __future__ import annotations

import codecs
import os
import re
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Mapping, Sequence
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from stream_al.cli import cards
from stream_al.errors import RecordError
from stream_al.records import MAX_INTEGER, MAX_NAME, ClassLabel

if TYPE_CHECKING:
    from stream_al.cli.label import Session

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

_LOOK: Final = 1.0
"""Seconds between two looks at the store while nobody presses a key."""
_IDLE: Final = 120.0
"""Seconds without a key after which drafts are sent: the model should not wait for somebody at lunch."""
_IDLE_EMPTY: Final = 15.0
"""The same when nothing is left to answer: the worker may be waiting for exactly these answers."""
_HELD: Final = 0.06
"""The same answer again within so many seconds is a key held down, not a second answer."""

_HELP: Final = (
    ("1 … 9", "answer with the class of this number; the next card comes at once"),
    ("01 … 99", "from ten classes on: both digits, or one and Enter; Backspace takes it back"),
    ("/", "find a class by part of its name; ↑ ↓ choose, Enter answers"),
    ("n", "answer with a class that is not listed yet"),
    ("u", "unsure: you have looked and cannot tell"),
    ("s", "skip: you would rather not answer this one"),
    ("z", "undo your last answer (Ctrl-Z too)"),
    ("↑ ↓", "scroll a long card; Space scrolls a page"),
    ("q", "send what is unsent and leave (Ctrl-C too)"),
)
_SENDING: Final = (
    "An answer can be undone, and does not reach the model, until enough others have followed it, or no key "
    "was pressed for two minutes (15 seconds when nothing is left to answer), or you leave."
)
_CARD_KEYS: Final = (
    ("/", "find"),
    ("u", "unsure"),
    ("s", "skip"),
    ("n", "new class"),
    ("z", "undo"),
    ("?", "help"),
    ("q", "quit"),
)


# ── classes ──────────────────────────────────────────────────────────────────────────────────────


def codes(classes: Sequence[ClassLabel]) -> dict[str, ClassLabel]:
    """Give each class the digits that answer with it, equally many for each.

    Classes that are numbers themselves are typed as such; others are counted from 1.

    Examples
    --------
    >>> codes(["cat", "dog"])
    {'1': 'cat', '2': 'dog'}
    >>> list(codes(range(40)))[:3]
    ['00', '01', '02']
    """
    if all(not isinstance(c, bool) and re.fullmatch(r"[0-9]{1,3}", str(c)) for c in classes):
        width = max((len(str(c)) for c in classes), default=1)
        numbered = {str(c).zfill(width): c for c in classes}
        if len(numbered) == len(classes):
            return numbered
    width = len(str(len(classes)))
    return {str(number).zfill(width): label for number, label in enumerate(classes, 1)}


def matching(classes: Mapping[str, ClassLabel], text: str) -> dict[str, ClassLabel]:
    """Return the classes whose name contains a text, whatever its case; names that start with it first."""
    wanted = text.casefold()
    found = {code: label for code, label in classes.items() if wanted in str(label).casefold()}
    return dict(sorted(found.items(), key=lambda item: not str(item[1]).casefold().startswith(wanted)))


def class_of(text: str, kind: str | None) -> ClassLabel:
    """Read a class that somebody typed.

    Parameters
    ----------
    text
        What was typed.
    kind
        The pipeline's label type. While it is None, the text decides as in JSON: ``1`` is an integer,
        ``true`` a boolean, everything else (and anything in double quotes) is text.

    Raises
    ------
    RecordError
        When it is no class of this type.

    Examples
    --------
    >>> class_of("1", None), class_of('"1"', None), class_of("1", "str")
    (1, '1', '1')
    """
    text = text.strip()
    if kind is None:
        if len(text) > 1 and text[0] == text[-1] == '"':
            kind, text = "str", text[1:-1]
        else:
            number, boolean = re.fullmatch(r"[+-]?[0-9]+", text), text.lower() in ("true", "false")
            kind = "int" if number else "bool" if boolean else "str"
    if kind == "int":
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", text) or abs(int(text)) > MAX_INTEGER:
            raise RecordError(
                "wrong-label-type", f"“{text}” is no whole number, and this pipeline's classes are"
            )
        return int(text)
    if kind == "bool":
        if text.lower() not in ("true", "false"):
            raise RecordError(
                "wrong-label-type", f"“{text}” is neither true nor false, this pipeline's only classes"
            )
        return text.lower() == "true"
    if not 0 < len(text) <= MAX_NAME:
        raise RecordError(
            "wrong-label-type", f"a class has a name of 1 to {MAX_NAME} characters, not {len(text)}"
        )
    return text


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


# ── what they do ─────────────────────────────────────────────────────────────────────────────────


class Labeller:
    """The full-screen side of a session: draws the card, waits for a key, does what it says.

    Parameters
    ----------
    session
        What is labelled.
    keyboard
        Where keys come from.
    console
        The terminal drawn on.
    """

    def __init__(self, session: Session, keyboard: Keyboard, console: Console) -> None:
        self._session = session
        self._keyboard = keyboard
        self._console = console
        self._mode = "card"  # or "new", "find", "help"
        self._typed = ""
        self._text = ""
        self._marked = 0
        self._screen = cards.Screen((Text(), Text()), "", ())
        self._drawn: tuple[object, int] = (None, 0)
        self._body: Sequence[Text] = ()
        self._last = ("", 0.0)

    def run(self) -> None:
        """Label until somebody quits."""
        self._session.look()
        with Live(
            self._screen, console=self._console, screen=True, auto_refresh=False,
            redirect_stdout=False, redirect_stderr=False,
        ) as live:  # fmt: skip
            touched = time.monotonic()
            while True:
                live.update(self._draw(), refresh=True)
                key = self._keyboard.key(_LOOK)
                if key == STOP or (key == "q" and self._mode not in ("new", "find")):
                    live.update(Text(), refresh=True)  # some terminals keep what a resized screen showed last
                    return
                if key is not None and key != RESIZED:
                    touched = time.monotonic()
                    self._press(key)
                elif key is None:
                    self._rest(time.monotonic() - touched)

    def _rest(self, idle: float) -> None:
        if self._mode == "card":
            self._look()
        if idle >= (_IDLE if self._session.card else _IDLE_EMPTY):
            self._session.send()

    def _look(self) -> None:
        before = self._session.card
        self._session.look()
        if self._session.card is not before:
            self._fresh()

    def _fresh(self) -> None:
        self._mode, self._typed, self._text, self._marked, self._screen.offset = "card", "", "", 0, 0

    # ── keys ──

    def _press(self, key: str) -> None:
        now = time.monotonic()
        held = key == self._last[0] and now - self._last[1] < _HELD
        self._last = (key, now)
        if self._mode == "help":
            self._mode = "card"
        elif self._mode in ("new", "find"):
            self._edit(key)
        elif key in (UP, DOWN, PAGE_UP, PAGE_DOWN, " "):
            page = max(1, self._screen.rows - 1)
            self._screen.offset += {UP: -1, DOWN: 1, PAGE_UP: -page}.get(key, page)
        elif key in (ESCAPE, BACKSPACE):
            self._typed = self._typed[:-1] if key == BACKSPACE else ""
        elif not held or self._typed:
            self._command(key)

    def _command(self, key: str) -> None:
        session = self._session
        if key == "?":
            self._mode = "help"
        elif key in ("z", UNDO):
            session.undo()
            self._fresh()
        elif session.card is None:
            if key == ENTER:
                session.send()
        elif key in ("u", "s"):
            session.abstain("unsure" if key == "u" else "skip")
            self._fresh()
        elif key == "n" and session.closed_classes:
            session.notice = Text(f"Not possible: {session.closed_classes}.", "yellow")
        elif key in ("n", "/"):
            self._fresh()
            session.notice = Text()
            self._mode = "new" if key == "n" else "find"
        elif key == ENTER or key in "0123456789":
            self._digit("" if key == ENTER else key)

    def _digit(self, digit: str) -> None:
        classes = codes(self._session.classes)
        typed = self._typed + digit
        if not digit and typed:  # Enter: "7" stands for "07"
            typed = typed.zfill(len(next(iter(classes), "")))
        if typed in classes:
            self._answer(classes[typed])
        elif digit and any(code.startswith(typed) for code in classes):
            self._typed = typed
            self._session.notice = Text()
        elif typed:
            self._typed = ""
            self._session.notice = Text(f"No class has the number {typed}.", "yellow")

    def _answer(self, label: ClassLabel) -> None:
        self._session.answer(label)
        self._fresh()

    # ── typed text ──

    def _edit(self, key: str) -> None:
        if key == ESCAPE:
            self._fresh()
        elif key == ENTER:
            self._entered()
        elif key in (UP, DOWN):
            self._marked = max(0, self._marked + (1 if key == DOWN else -1))
        elif key == BACKSPACE or not key.startswith("<") or key == "<" or key.startswith(PASTE):
            added = cards.one_line(key.removeprefix(PASTE))
            self._text = self._text[:-1] if key == BACKSPACE else (self._text + added)[:MAX_NAME]
            self._marked = 0
            self._session.notice = Text()

    def _entered(self) -> None:
        session = self._session
        if self._mode == "find":
            if found := list(self._found().values()):
                self._answer(found[min(self._marked, len(found) - 1)])
            return
        try:
            label = session.class_from(self._text)
        except RecordError as error:
            session.notice = Text(f"Not taken: {error.detail}.", "bold red")
            return
        twins = [c for c in session.classes if str(c).casefold() == str(label).casefold() and c != label]
        question = (
            f"There is {cards.class_text(twins[0])} already. Enter again if you mean another class."
            if twins
            else ""
        )
        if question != session.notice.plain and question:
            session.notice = Text(question, "bold yellow")
            return
        self._answer(label)

    def _found(self) -> dict[str, ClassLabel]:
        return matching(codes(self._session.classes), self._text)

    # ── the screen ──

    def _draw(self) -> cards.Screen:
        session, screen = self._session, self._screen
        counts = [
            f"{session.left:,} to answer",
            f"{len(session.given):,} answered",
            f"{session.undoable} undoable",
        ]
        screen.head = (
            Text("stream-al label", "bold").append(
                f"  as {cards.one_line(session.annotations.annotator, 24)}", "not bold dim"
            ),
            Text(" · ").join(Text(count) for count in counts),
        )
        screen.why, screen.pairs, screen.prompt = Text(), (), session.notice
        card, width = session.card, max(1, self._console.width - 6)
        if self._mode == "help":
            table = cards.in_columns([(Text(k, "bold cyan"), Text(v)) for k, v in _HELP], 200, 99)
            self._show("Help", [*table, Text(), *Text(_SENDING, "dim").wrap(self._console, width)])
            screen.prompt, screen.keys = Text(), cards.key_line([("any key", "back")])
        elif card is None:
            lines = [Text(line) for line in session.waiting()]
            if session.undoable:
                lines.append(
                    Text(f"{session.undoable} of your answers can still be undone; Enter sends them now.")
                )
            lines += [Text(), Text("Waiting for the next query …", "dim italic")]
            self._show(
                "Nothing to answer", [part for line in lines for part in line.wrap(self._console, width)]
            )
            undo, send = [("z", "undo")], [("Enter", "send")]
            screen.keys = cards.key_line(
                [*((undo + send) if session.undoable else []), ("?", "help"), ("q", "quit")]
            )
        else:
            if self._drawn != (card, width):
                self._body, self._drawn = cards.card(card, self._console, width), (card, width)
            self._show(card.event_id, self._body)
            screen.why = Text(cards.why(card), "dim")
            if session.show_prediction == "before":
                screen.why.append(f"\nBefore you answer: {cards.model_said(card)}.", "not dim magenta")
            self._draw_choices()
        return screen

    def _show(self, title: str, body: Sequence[Text]) -> None:
        self._screen.title, self._screen.body = title, body

    def _draw_choices(self) -> None:
        screen, session = self._screen, self._session
        classes = codes(session.classes)
        if self._mode == "find":
            found = self._found()
            picked = list(found.values())[min(self._marked, len(found) - 1)] if found else None
            screen.pairs = cards.choices(found, "", picked)
            screen.prompt = _entry("Find", self._text, "" if found else "no class has this in its name")
            screen.keys = cards.key_line(
                [("Enter", "answer with the marked one"), ("↑↓", "choose"), ("Esc", "back")]
            )
            return
        screen.pairs = cards.choices(classes, self._typed, None)
        hidden = ("n" if session.closed_classes else "") + ("/" if len(classes) < 10 else "")
        screen.keys = cards.key_line(entry for entry in _CARD_KEYS if entry[0] not in hidden)
        if self._mode == "new":
            screen.prompt = _entry("New class", self._text, "").append("\n").append_text(session.notice)
            screen.keys = cards.key_line([("Enter", "answer with it"), ("Esc", "back")])
        elif self._typed:
            screen.prompt = _entry("Class", self._typed, "")
        elif not classes and not session.notice:
            screen.prompt = Text("No class is known yet: press n and type the first one.", "yellow")


def _entry(what: str, text: str, remark: str) -> Text:
    return (
        Text(f"{what}: ", "bold")
        .append(text, "not bold")
        .append("▏", "blink")
        .append(f"  {remark}", "not bold yellow")
    )
