"""`stream-al amend` and `stream-al erase`: correct what was learned, exactly."""

from __future__ import annotations

import getpass
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_al.errors import ConfigError

if TYPE_CHECKING:
    from stream_al.amendments import ExampleLog
    from stream_al.records import Amendment, ClassLabel

_Target = Annotated[
    Path,
    typer.Argument(
        help="The pipeline's SQLite file; or its configuration (.toml), which on Kafka names the topics.",
        show_default=False,
    ),
]
_EventId = Annotated[str, typer.Argument(help="The id of the event.", show_default=False)]
_Why = Annotated[str, typer.Option(help="The reason; it is kept with the amendment.", show_default=False)]
_By = Annotated[str, typer.Option(help="Who amends.", envvar="STREAM_AL_ANNOTATOR")]


def amend_command(
    target: _Target,
    event_id: _EventId,
    label: Annotated[str, typer.Option(help="The right class.", show_default=False)],
    why: _Why,
    by: _By = "",
) -> None:
    """Give a learned example another label: the model becomes the one that had learned it so from the beginning.

    Works beside a running pipeline, which applies it within its next batch; or at its next start. Of several examples of
    an event the last is meant. What annotators say of the event later changes nothing any more.

    Example: stream-al amend pipeline.db tx-17 --label ham --why "misread the sender"
    """
    typer.echo(_amended(target, event_id, label, why, by))


def erase_command(target: _Target, event_id: _EventId, why: _Why, by: _By = "") -> None:
    """Take an example out of the model: it becomes the one that never saw the label.

    Works beside a running pipeline, which applies it within its next batch; or at its next start. The event, its
    prediction, the answers and the example stay in the record, as everything that happened does; see docs/corrections.md.

    Example: stream-al erase pipeline.db tx-17 --why "asked for by the customer"
    """
    typer.echo(_amended(target, event_id, None, why, by))


def _amended(target: Path, event_id: str, label: str | None, why: str, by: str) -> str:
    """Send an amendment, and return what to tell."""
    who = by or getpass.getuser()
    if target.suffix == ".toml":
        from stream_al.config import load_config

        config = load_config(target)
        if config.kafka is not None:
            from connectors.kafka.client import require_kafka

            require_kafka()
            from connectors.kafka.amending import TopicAmending

            topics = TopicAmending(config, str(target))
            detail = topics.amend(_amendment(topics, event_id, label, why, who))
            return f"Sent: {detail} once the workers have read it from the topic of labels."
        target = config.store.path
    from connectors.sqlite.amending import Amending

    with closing(Amending(target)) as store:
        amendment = _amendment(store, event_id, label, why, who)
        if store.label_source == "file":
            raise ConfigError(
                f"{target}: its worker takes labels from a file ([labels] source); append this line to that: "
                + amendment.to_json().decode()
            )
        if store.label_source != "store":
            raise ConfigError(
                f"{target}: its worker takes labels from elsewhere ([labels] source = {store.label_source!r}), "
                'so nobody would read it; set source = "store" and start it again'
            )
        detail = store.amend(amendment)
        when = (
            "within its next batch" if store.is_running() else "when a worker starts again; none is running"
        )
        return f"Sent: {detail} {when}."


def _amendment(log: ExampleLog, event_id: str, label: str | None, why: str, by: str) -> Amendment:
    from pydantic import ValidationError

    from stream_al.records import Amendment, record_error

    right = None if label is None else _class(log, event_id, label)
    try:
        return Amendment(event_id=event_id, label=right, why=why, by=by, timestamp=datetime.now(UTC))
    except ValidationError as error:
        raise record_error(error) from None


def _class(log: ExampleLog, event_id: str, text: str) -> ClassLabel:
    """Read a class of the type that the example has."""
    from stream_al.amendments import standing_of
    from stream_al.annotate.classes import class_of

    found = standing_of(event_id, log.examples())
    return class_of(text, None if found is None else type(found.example.label).__name__)
