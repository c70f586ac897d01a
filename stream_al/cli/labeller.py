"""The full-screen side of labelling: draws the card, waits for a key, does what it says."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from stream_al.annotate.classes import codes, matching
from stream_al.annotate.words import class_text, model_said, stands_for, why
from stream_al.cli import cards
from stream_al.cli.keys import (
    BACKSPACE,
    DOWN,
    ENTER,
    ESCAPE,
    PAGE_DOWN,
    PAGE_UP,
    PASTE,
    RESIZED,
    STOP,
    UNDO,
    UP,
    Keyboard,
)
from stream_al.cli.session import Session
from stream_al.errors import RecordError
from stream_al.records import MAX_NAME, ClassLabel

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
    ("o", "your answer is of this record only, not of those like it that wait for it; again: of all of them"),
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
        elif key == "o" and session.waiting_for_it:
            session.only_this = not session.only_this
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
            f"There is {class_text(twins[0])} already. Enter again if you mean another class."
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
            screen.why = Text(why(card), "dim")
            if told := stands_for(session.waiting_for_it):
                alone = (
                    " Your answer is of this one only (o: of all)."
                    if session.only_this
                    else " (o: only this one)"
                )
                screen.why.append(f"\n{told}{alone}", "not dim bold")
            if session.show_prediction == "before":
                screen.why.append(f"\nBefore you answer: {model_said(card)}.", "not dim magenta")
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
