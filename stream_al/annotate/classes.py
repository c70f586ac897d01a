"""Classes as people choose them: which key answers with which, and reading the names of new ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from stream_al.errors import RecordError
from stream_al.records import MAX_INTEGER, MAX_NAME, ClassLabel


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
