"""What the labelling screen shows: an event as a card, the classes with their keys, and why it is asked.

Everything here is a pure function of what it is given. Values come from outside, so nothing in them may
reach the terminal as anything but text: markup is never interpreted, control characters are taken out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rich.box import ROUNDED
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.panel import Panel
from rich.text import Text

from stream_al.annotate import words
from stream_al.annotate.words import class_text, value_text
from stream_al.records import ClassLabel, Query

_GAP: Final = 4
_LONG: Final = 36
"""Cells of a value that still goes into the table; longer ones are wrapped below it."""
_NAME: Final = 32
_ROWS: Final = 10
"""Rows of a table before it gets another column."""


def one_line(value: object, cells: int | None = None) -> str:
    """Return text on one line, harmless, cut to a number of terminal cells."""
    text = Text(words.one_line(value))
    if cells is not None:
        text.truncate(cells, overflow="ellipsis")
    return text.plain


# ── tables ───────────────────────────────────────────────────────────────────────────────────────


def in_columns(pairs: Sequence[tuple[Text, Text]], width: int, rows: int = _ROWS) -> list[Text]:
    """Lay (name, value) pairs out in aligned columns that are read downwards.

    As few columns as keep to ``rows`` rows, and no more than fit into ``width``.
    """
    if not pairs:
        return []
    sizes = [(name.cell_len, value.cell_len) for name, value in pairs]
    for columns in range(max(1, min(-(-len(pairs) // rows), width // 8)), 0, -1):
        height = -(-len(pairs) // columns)
        starts = range(0, len(pairs), height)
        wide = [tuple(max(s[i] for s in sizes[at : at + height]) for i in (0, 1)) for at in starts]
        if sum(names + 2 + values for names, values in wide) + _GAP * (len(wide) - 1) <= width:
            break
    lines = []
    for row in range(height):
        line = Text(no_wrap=True, overflow="ellipsis")
        for (names, values), (name, value) in zip(wide, pairs[row::height], strict=False):
            line.append_text(name).append(" " * (names - name.cell_len + 2))
            line.append_text(value).append(" " * (values - value.cell_len + _GAP))
        line.rstrip()
        lines.append(line)
    return lines


def fields(values: Mapping[str, Any], console: Console, width: int) -> list[Text]:
    """Return names and values as lines: short ones as a table, long ones wrapped below it."""
    short: list[tuple[Text, Text]] = []
    long: list[Text] = []
    for key, value in values.items():
        name = Text(one_line(key, _NAME), style="cyan")
        text = Text(value_text(value))
        if "\n" not in text.plain and text.cell_len <= min(_LONG, width - name.cell_len - 2):
            short.append((name, text))
            continue
        long += [Text(), name] if short or long else [name]
        for line in text.wrap(console, max(1, width - 2), overflow="fold"):
            long.append(Text("  ").append_text(line))
    lines = in_columns(short, width)
    return lines + (long if lines else long[1:] if long and not long[0] else long)


def card(query: Query, console: Console, width: int) -> list[Text]:
    """Return an event as lines: what it wants to display first, then its features."""
    lines = fields(query.display or {}, console, width)
    if lines:
        lines += [Text(), Text("what the model sees", style="dim italic")]
    return lines + fields(query.features, console, width)


def choices(
    codes: Mapping[str, ClassLabel], typed: str = "", picked: ClassLabel | None = None
) -> list[tuple[Text, Text]]:
    """Return the classes with their keys; dimmed where the typed digits exclude them."""
    pairs = []
    for code, label in codes.items():
        off = bool(typed) and not code.startswith(typed)
        on = type(picked) is type(label) and picked == label
        key = Text(f" {code} ", style="dim" if off else "bold reverse")
        name = "" if code.lstrip("0") == str(label).lstrip("0") else one_line(class_text(label), _LONG)
        pairs.append((key, Text(name, style="dim" if off else "bold underline" if on else "")))
    return pairs


# ── the whole screen ─────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Screen:
    """One screenful: as much of the card as fits, and the classes and keys always."""

    head: tuple[Text, Text]
    title: str
    body: Sequence[Text]
    why: Text = field(default_factory=Text)
    pairs: Sequence[tuple[Text, Text]] = ()
    prompt: Text = field(default_factory=Text)
    keys: Text = field(default_factory=Text)
    offset: int = 0
    """First line of the body that is shown."""
    rows: int = 0
    """How many lines of the body were visible when this was last drawn; for scrolling."""
    _tallest: int = 0
    """Of the bodies so far: the frame grows to it, and then the classes stay where they are."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or console.height
        below = self._below(console, width, height)
        self._tallest = max(self._tallest, len(self.body), _ROWS)
        self.rows = max(1, min(height - len(below) - 3, self._tallest))
        self.offset = max(0, min(self.offset, len(self.body) - self.rows))
        shown = list(self.body[self.offset : self.offset + self.rows])
        for line in shown:
            line.no_wrap, line.overflow = True, "ellipsis"
        left, right = self.head
        yield _spread(left, right, width)
        yield Panel(
            Group(*shown),
            title=Text(f" {one_line(self.title, max(8, width - 12))} ", style="bold"),
            title_align="left",
            subtitle=self._more(),
            subtitle_align="right",
            border_style="blue",
            box=ROUNDED,
            padding=(0, 2),
            height=self.rows + 2,
        )
        yield from below

    def _more(self) -> Text | None:
        hidden = len(self.body) - self.offset - self.rows
        if hidden > 0:
            return Text(f" ↓ {hidden} more lines ", style="bold yellow")
        return Text(" ↑ end ", style="yellow") if self.offset else None

    def _below(self, console: Console, width: int, height: int) -> list[Text]:
        """Return what stands under the card, without its ornaments where there is little room."""
        inner = max(1, width - 2)
        reasons = list(self.why.wrap(console, inner)) if height >= 16 else []
        table = in_columns(self.pairs, inner, max(2, min(_ROWS, height // 4)))
        most = max(1, height // 2 - 2)
        if len(table) > most:
            table = [*table[: most - 1], Text("… press / to find a class by name", style="yellow")]
        keys = list(self.keys.wrap(console, inner))
        blank = [Text()] if height >= 16 else []
        prompt = list(self.prompt.wrap(console, inner))[:3] or [Text()]
        lines = [*reasons, *blank, *table, *(blank if table else []), *prompt, *keys]
        return [Text(" ").append_text(line) for line in lines]


def _spread(left: Text, right: Text, width: int) -> Text:
    space = width - left.cell_len - right.cell_len - 2
    if space < 2:
        return Text(" ", no_wrap=True, overflow="ellipsis").append_text(right if right else left)
    return Text(" ", no_wrap=True).append_text(left).append(" " * space).append_text(right)


def key_line(keys: Iterable[tuple[str, str]]) -> Text:
    """Return keys and what they do as one line."""
    line = Text()
    for key, meaning in keys:
        line.append(f"{key}\u00a0", style="bold cyan").append(
            meaning.replace(" ", "\u00a0"), style="dim"
        ).append("   ")
    line.rstrip()
    return line
