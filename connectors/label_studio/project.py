"""What a labelling interface asks, how a query becomes a task of it, and what an annotation says.

The formats are those of Label Studio 1.23: https://labelstud.io/tags/choices,
https://labelstud.io/guide/predictions and https://labelstud.io/guide/export (`annotations`, `was_cancelled`).
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from stream_al.annotate.classes import class_of
from stream_al.errors import ConfigError, RecordError
from stream_al.records import ClassLabel, Query

MODEL_VERSION: Final = "stream-al"
"""Of all predictions: Label Studio shows those of one version, and hides the tasks that have others."""
QUERY_ID: Final = "query_id"
"""The field of a task's data that holds the id of the event."""


@dataclass(frozen=True, slots=True)
class Control:
    """The ``Choices`` of a labelling interface that ask for the class."""

    name: str
    to_name: str
    classes: dict[str, ClassLabel]
    """By what an annotation says: a choice's alias, else its value."""
    fields: tuple[str, ...]
    """The fields a task's data must have."""

    def task(self, query: Query, *, predictions: bool) -> dict[str, Any]:
        """Return a query as a task to import.

        Its data are the features by name, all of them as ``features`` (for a ``Table``), what is for display, and the id.
        """
        data = {
            "features": query.features,
            **query.features,
            **(query.display or {}),
            QUERY_ID: query.event_id,
        }
        task: dict[str, Any] = {"data": data, "meta": {"reason": query.reason, "utility": query.utility}}
        said = [text for text, label in self.classes.items() if _same(label, query.predicted)]
        if predictions and said:
            result = {
                "from_name": self.name,
                "to_name": self.to_name,
                "type": "choices",
                "value": {"choices": said[:1]},
            }
            score = query.probabilities.get(str(query.predicted), 0.0)
            task["predictions"] = [{"model_version": MODEL_VERSION, "score": score, "result": [result]}]
        return task

    def lacking(self, task: dict[str, Any]) -> list[str]:
        """Return the fields of the interface that a task's data do not have; Label Studio refuses it for them."""
        return [name for name in self.fields if name not in task["data"]]

    def answer(self, annotation: dict[str, Any]) -> dict[str, ClassLabel]:
        """Return what an annotation says, as the fields of a label: a class, or why there is none."""
        if annotation.get("was_cancelled"):
            return {"abstain": "skip"}
        chosen = [
            text
            for part in annotation.get("result") or []
            if part.get("from_name") == self.name
            for text in part.get("value", {}).get("choices", [])
        ]
        if len(chosen) != 1:  # submitted without a choice, or with several
            return {"abstain": "unsure"}
        # A choice that was taken out of the interface since is for the worker to judge.
        return {"label": self.classes.get(chosen[0], chosen[0])}


def control_of(
    label_config: str,
    classes: Sequence[ClassLabel],
    kind: str | None = None,
    *,
    closed: bool = False,
    name: str | None = None,
) -> Control:
    """Return the choices of a labelling interface that ask for a pipeline's classes.

    Parameters
    ----------
    label_config
        The interface, as XML.
    classes
        The classes known; each must be a choice.
    kind
        The pipeline's label type; None while it is not fixed.
    closed
        Whether there can be no other classes.
    name
        The ``name`` of the choices; None where only one can be meant.

    Raises
    ------
    ConfigError
        When there are none, or they do not fit.

    Examples
    --------
    >>> config = '''<View><Text name="mail" value="$text"/><Choices name="kind" toName="mail">
    ... <Choice value="spam"/><Choice value="Good" alias="ham"/></Choices></View>'''
    >>> control = control_of(config, ["ham", "spam"])
    >>> control.name, control.classes, control.fields
    ('kind', {'spam': 'spam', 'ham': 'ham'}, ('text',))
    """
    try:
        root = ET.fromstring(label_config)
    except ET.ParseError as error:
        raise ConfigError(
            f"labelling interface: is no XML ({error}); save it again in the project's settings"
        ) from None
    every = [tag for tag in root.iter("Choices") if tag.get("name") and tag.get("toName")]
    named = [tag for tag in every if name in (None, tag.get("name"))]
    if not named:
        there = ", ".join(str(tag.get("name")) for tag in every) or "none"
        wanted = (
            "has no <Choices>" if name is None else f"has no <Choices> named {name!r} (there are: {there})"
        )
        example = "".join(f'<Choice value="{label}"/>' for label in classes[:3])
        raise ConfigError(
            f'labelling interface: {wanted}; add <Choices name="class" toName="…" choice="single">{example}</Choices> '
            "in the project's settings"
        )
    found, problems = [], []
    for tag in named:
        try:
            found.append(_control(tag, _fields(root), classes, kind, closed=closed))
        except ConfigError as error:
            problems.append(error)
    if not found:
        raise problems[0]
    if len(found) > 1:
        raise ConfigError(
            f"labelling interface: {', '.join(control.name for control in found)} all have the classes; "
            "name one with --control"
        )
    return found[0]


def _control(
    tag: ET.Element, fields: tuple[str, ...], classes: Sequence[ClassLabel], kind: str | None, *, closed: bool
) -> Control:
    name = tag.get("name", "")
    if tag.get("choice", "single") not in ("single", "single-radio"):
        raise ConfigError(
            f'<Choices name="{name}">: lets people choose several ({tag.get("choice")}); a class is one: '
            'choice="single"'
        )
    texts = [text for choice in tag.iter("Choice") if (text := choice.get("alias") or choice.get("value"))]
    if not texts:
        raise ConfigError(f'<Choices name="{name}">: has no <Choice> of its own; write one for each class')
    choices = _typed(texts, kind)
    missing = [label for label in classes if not any(_same(label, choice) for choice in choices.values())]
    if missing:
        raise ConfigError(
            f'<Choices name="{name}">: has no choice for {", ".join(map(repr, missing))}; add '
            + "".join(f'<Choice value="{label}"/>' for label in missing)
        )
    if closed and (more := [c for c in choices.values() if not any(_same(c, label) for label in classes)]):
        raise ConfigError(
            f'<Choices name="{name}">: has {", ".join(map(repr, more))}, which [model] classes has not, so those answers '
            "would be lost; take the choice out, or write its class as its alias"
        )
    return Control(name, tag.get("toName", "").split(",")[0], choices, fields)


def _typed(texts: Sequence[str], kind: str | None) -> dict[str, ClassLabel]:
    """Read choices as classes of one type: the pipeline's, or while it has none the one that all have, else text."""
    try:
        choices = {text: class_of(text, kind) for text in texts}
    except RecordError as error:
        raise ConfigError(
            f"labelling interface: {error.detail}; write the class as the choice's alias"
        ) from None
    if len({type(label) for label in choices.values()}) > 1:
        return {text: class_of(text, "str") for text in texts}
    return choices


def _fields(root: ET.Element) -> tuple[str, ...]:
    """Return the fields of a task's data that the tags of an interface show."""
    found = (re.match(r"\$(\w+)", tag.get("value", "")) for tag in root.iter() if tag.get("name"))
    return tuple(dict.fromkeys(match[1] for match in found if match))


def _same(one: ClassLabel | None, other: ClassLabel | None) -> bool:
    return type(one) is type(other) and one == other
