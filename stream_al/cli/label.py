r"""``stream-al label STORE``: answer the open queries of a store in the terminal, most valuable first.

In a terminal each query is a card, and one key answers it and brings the next one; ``?`` shows the keys. An
answer is a draft until enough others have followed it, or nobody has touched a key for a while, and can be
undone until then. The model's own answer is shown only afterwards unless asked for: who has seen it tends to
agree with it.

When standard input or output is no terminal, the same is done in lines, one command each, so that it can be
scripted: a class or its number, ``=CLASS`` (for a class named like a command), ``n CLASS`` (a new one), ``u``
(unsure), ``s`` (skip), ``z`` (undo), ``?`` (help), ``q`` (quit). Cards are printed as plain text. It ends,
with exit code 0, at the end of the input or when there is nothing left to answer::

    printf 'spam\nham\nu\n' | stream-al label pipeline.db
"""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from connectors.sqlite import Annotations
from stream_al.annotate.classes import codes
from stream_al.annotate.words import class_text, model_said, why
from stream_al.cli import cards, keys
from stream_al.cli.cards import one_line
from stream_al.cli.labeller import Labeller
from stream_al.cli.session import Session
from stream_al.errors import ConfigError, RecordError
from stream_al.records import MAX_NAME

SHOW_PREDICTION: Final = ("never", "after", "before")


def label_command(store: Path, annotator: str, show_prediction: str, undo: int) -> int:
    """Answer the open queries of a store.

    Parameters
    ----------
    store
        The store's file.
    annotator
        The name the answers bear.
    show_prediction
        When to show the model's own answer: ``"never"``, ``"after"`` or ``"before"`` the annotator's.
    undo
        How many answers can be undone.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    StreamALError
        When the store cannot be used, or an argument means nothing. Drafts are kept, and sent next time.
    """
    if show_prediction not in SHOW_PREDICTION:
        raise ConfigError(
            f"show_prediction = {show_prediction!r}: must be one of {', '.join(SHOW_PREDICTION)}"
        )
    if not 0 < len(annotator) <= MAX_NAME:
        raise ConfigError(f"annotator = {annotator!r}: must have 1 to {MAX_NAME} characters")
    if undo < 0:
        raise ConfigError(f"undo = {undo}: must not be negative")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where there is no ✓, a ? will do
    # Not COLUMNS and LINES, where they are exported: they do not follow a resize.
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    console = _Console(markup=False, highlight=False, emoji=False, _environ=environment)
    descriptor = _standard_input()
    if os.isatty(descriptor) and console.is_terminal and not console.is_dumb_terminal:
        source: keys.Input = keys.Keyboard(descriptor)
    else:
        source = keys.Input(descriptor)
        console = _Console(
            markup=False, highlight=False, emoji=False, color_system=None, force_terminal=False
        )
    with source:  # around everything: a second Ctrl-C must not come between the drafts and their sending
        annotations = Annotations(store, annotator, undo=undo)
        if (elsewhere := annotations.label_source()) != "store":
            annotations.close()
            raise ConfigError(
                f"{store}: its worker takes labels from elsewhere ([labels] source = {elsewhere!r}), so nobody "
                'would read your answers; set source = "store" and start it again'
            )
        session = Session(annotations, show_prediction)
        try:
            if isinstance(source, keys.Keyboard):
                Labeller(session, source, console).run()
            else:
                _answer_lines(session, source, console)
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EPIPE):
                raise
            # Whoever looked at our output is gone. That is leaving, too.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        finally:
            annotations.close()
    console.print(session.summary())
    return 0


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise, where rich would end the process: drafts are still to be sent."""
        raise BrokenPipeError(errno.EPIPE, "nobody reads standard output any more")


def _standard_input() -> int:
    try:
        return sys.stdin.fileno()
    except (AttributeError, io.UnsupportedOperation):  # closed, or replaced by an object of Python's
        return os.open(os.devnull, os.O_RDONLY)


def _answer_lines(session: Session, source: keys.Input, console: Console) -> None:
    """Answer queries by lines of text, until there are no more of either."""
    session.look()
    while session.card is not None:
        card = session.card
        console.print(Text(f"── {one_line(card.event_id)}  ({session.left} to answer)"))
        console.print(*cards.card(card, console, console.width), Text(), why(card), sep="\n")
        if session.show_prediction == "before":
            console.print(f"Before you answer: {model_said(card)}.")
        console.print(*cards.in_columns(cards.choices(codes(session.classes)), console.width, 3), sep="\n")
        while session.card is card:
            line = source.line()
            if line is None or line.strip() == "q":
                return
            session.notice = Text()
            _obey(session, line.strip())
            if session.notice:
                console.print(session.notice)
    console.print(*session.waiting(), sep="\n")


def _obey(session: Session, line: str) -> None:
    command, _, name = line.partition(" ")
    numbered = codes(session.classes)
    named = {class_text(label): label for label in session.classes}
    if line == "u":
        session.abstain("unsure")
    elif line == "s":
        session.abstain("skip")
    elif line == "z":
        session.undo()
    elif line == "?":
        session.notice = Text(
            "A class or its number, =CLASS, n CLASS (a new one), u (unsure), s (skip), z (undo), q (quit)."
        )
    elif command == "n" and name:
        try:
            session.answer(session.class_from(name))
        except RecordError as error:
            session.notice = Text(f"Not taken: {error.detail}.")
    elif (label := named.get(line.removeprefix("="), numbered.get(line))) is not None:
        session.answer(label)
    elif line:
        known = f"“{one_line(line, 40)}” is no class here"
        session.notice = Text(f"Not taken: {known}; write “n {one_line(line, 40)}” for a new one.")
