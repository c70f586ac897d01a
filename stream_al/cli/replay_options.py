"""What `stream-al replay` and `stream-al tune` have in common: their options, the stream, and the people."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from stream_al.errors import ConfigError

if TYPE_CHECKING:
    from stream_al.config import KafkaConfig
    from stream_al.records import ClassLabel
    from stream_al.replay.latency import Clock
    from stream_al.replay.people import Crowd
    from stream_al.replay.stream import LabelledStream

_INPUT = "Input"
_PEOPLE = "People who answer (simulated)"
_RECORDED = "recorded:"
_SMALL = 300_000
"""Events in all runs together for which starting processes takes longer than the work."""

Source: TypeAlias = Annotated[
    str,
    typer.Argument(
        help="A CSV or JSONL file (plain or .gz), a Parquet file, - for standard input, river:NAME for a data set that "
        "comes with river, sklearn:digits, kafka:TOPIC[@FROM-TO] for what a topic has now; or what a pipeline recorded: "
        "its store (.db), or its configuration (.toml).",
        show_default=False,
    ),
]
LabelColumn: TypeAlias = Annotated[
    str | None,
    typer.Option(help="The column with the true class.", show_default=False, rich_help_panel=_INPUT),
]
LabelType: TypeAlias = Annotated[
    str, typer.Option(help="What the classes of a file are: str, int or bool.", rich_help_panel=_INPUT)
]
IdColumn: TypeAlias = Annotated[
    str | None,
    typer.Option(help="The column with the event's id.", show_default=False, rich_help_panel=_INPUT),
]
TimestampColumn: TypeAlias = Annotated[
    str | None,
    typer.Option(help="The column with the event's time.", show_default=False, rich_help_panel=_INPUT),
]
Format: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="csv, jsonl, flat-jsonl or parquet; told by the file's name.",
        show_default=False,
        rich_help_panel=_INPUT,
    ),
]
Limit: TypeAlias = Annotated[
    int | None,
    typer.Option(min=1, help="Use the first so many events.", show_default=False, rich_help_panel=_INPUT),
]
Bootstrap: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="host:port of the brokers, for kafka:TOPIC; logins are read from the environment (STREAM_AL_KAFKA__…).",
        show_default=False,
        rich_help_panel=_INPUT,
    ),
]
MaxClasses: TypeAlias = Annotated[
    int, typer.Option(min=2, help="More classes than this are refused.", rich_help_panel=_INPUT)
]
EventsPerHour: TypeAlias = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        help="The stream's pace, for times such as 2h where events have no timestamps.",
        show_default=False,
        rich_help_panel=_PEOPLE,
    ),
]
Delay: TypeAlias = Annotated[
    int, typer.Option(min=0, help="Events between query and label, at least.", rich_help_panel=_PEOPLE)
]
Jitter: TypeAlias = Annotated[
    int,
    typer.Option(
        min=0, help="How many more there may be; labels then come out of order.", rich_help_panel=_PEOPLE
    ),
]
LatencyText: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--latency",
        help="Instead of delay and jitter: constant:200, exponential:200 (mean), lognormal:200:1.0 (median, sigma), "
        "uniform:50:150, in events or as times (30s, 5m, 2h, 1d); or recorded:STORE, as people took in a pipeline.",
        show_default=False,
        rich_help_panel=_PEOPLE,
    ),
]
Hours: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--working-hours",
        help="When people work, UTC: 'mon-fri 9-17'.",
        show_default=False,
        rich_help_panel=_PEOPLE,
    ),
]
Wrong: TypeAlias = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="The share of wrong answers.", rich_help_panel=_PEOPLE)
]
Abstain: TypeAlias = Annotated[
    float, typer.Option(min=0.0, max=1.0, help='The share of "unsure".', rich_help_panel=_PEOPLE)
]
Silent: TypeAlias = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="The share never answered.", rich_help_panel=_PEOPLE)
]
Rate: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="How many labels a person gives at most: 30/h, 200/d, or 20/1000 events.",
        show_default=False,
        rich_help_panel=_PEOPLE,
    ),
]
AnnotatorText: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--annotator",
        help="One of several people: name:wrong=0.1,wrong.spam=0.3,abstain=0.05,silent=0.2,latency=exponential:2h,"
        "rate=30/h; what is not said is as in the options above.",
        show_default=False,
        rich_help_panel=_PEOPLE,
    ),
]
Quorum: TypeAlias = Annotated[
    int, typer.Option(min=1, help="How many must answer a question.", rich_help_panel=_PEOPLE)
]
Agreement: TypeAlias = Annotated[
    str, typer.Option(help="majority, unanimous, plurality or weighted.", rich_help_panel=_PEOPLE)
]
WithdrawBelow: TypeAlias = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Withdraw open questions whose utility has become less than this, as the model learned.",
        rich_help_panel=_PEOPLE,
    ),
]
Processes: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="How many runs at the same time; results do not depend on it.",
        show_default="as many as there are cores; 1 for little work",
    ),
]


@dataclass(frozen=True, slots=True)
class Input:
    """Where the events are, and what their columns are."""

    source: str
    form: str | None = None
    label_column: str | None = None
    label_type: str = "str"
    id_column: str | None = None
    timestamp_column: str | None = None
    limit: int | None = None
    max_classes: int = 1000
    bootstrap: str | None = None

    def read(self) -> LabelledStream:
        """Return the whole stream.

        Raises
        ------
        ConfigError
            When an option does not fit, or the labels are missing or no classes.
        SourceError
            When it cannot be read.
        """
        from connectors.datasets import is_bundled
        from stream_al.cli.assemble import open_events
        from stream_al.cli.recorded import open_recording
        from stream_al.config import EventsConfig
        from stream_al.model import LABEL_TYPES
        from stream_al.replay.stream import LabelledStream

        bundled = is_bundled(self.source)
        columns = {"label": self.label_column, "id": self.id_column, "timestamp": self.timestamp_column}
        if bundled and (given := [name for name, column in columns.items() if column is not None]):
            raise ConfigError(f"--{given[0]}-column: {self.source} knows its own; leave it out")
        if self.label_type not in LABEL_TYPES:
            raise ConfigError(f"--label-type {self.label_type}: must be one of {', '.join(LABEL_TYPES)}")
        if self.form not in (None, "csv", "jsonl", "flat-jsonl", "parquet"):
            raise ConfigError(f"--format {self.form}: must be one of csv, jsonl, flat-jsonl, parquet")
        if Path(self.source).suffix in (".db", ".toml"):
            given = [name for name, column in columns.items() if column is not None]
            if given or self.limit is not None:
                what = f"--{given[0]}-column" if given else "--limit"
                raise ConfigError(
                    f"{what}: {self.source} is what a pipeline recorded, and knows its own; leave it out"
                )
            return LabelledStream.of(open_recording(Path(self.source)))
        if self.source == "-" and self.form is None:
            raise ConfigError("-: standard input has no name to tell its format by; give --format")
        config = EventsConfig.model_validate(
            {
                "path": self.source,
                "format": self.form or (None if bundled else _format(self.source)),
                **{f"{name}_column": column for name, column in columns.items()},
            }
        )
        events = open_events(config, self.label_type, self.source, _kafka(self.bootstrap))
        try:
            # Without a label column one event is enough to say so, and to name the columns there are.
            limit = 1 if not bundled and self.label_column is None else self.limit
            return LabelledStream.read(events, self.source, limit, self.max_classes)
        finally:
            events.close()


@dataclass(frozen=True, slots=True)
class People:
    """Who answers, as the options say."""

    delay: int = 0
    jitter: int = 0
    latency: str | None = None
    hours: str | None = None
    wrong: float = 0.0
    abstain: float = 0.0
    silent: float = 0.0
    rate: str | None = None
    annotators: tuple[str, ...] = ()
    quorum: int = 1
    agreement: str = "majority"
    events_per_hour: float | None = None
    withdraw_below: float | None = None

    def crowd(self, classes: tuple[ClassLabel, ...]) -> Crowd:
        """Return them.

        Raises
        ------
        ConfigError
            When options contradict each other, or cannot be read.
        """
        from stream_al.desk_rules import AGREEMENTS, DeskRules
        from stream_al.replay.latency import Latency, WorkingHours, parse_rate
        from stream_al.replay.people import Annotator, Crowd

        if self.latency is not None and (self.delay or self.jitter):
            raise ConfigError("--latency: give it or --delay and --jitter, not both")
        if self.agreement not in AGREEMENTS:
            raise ConfigError(f"--agreement {self.agreement}: must be one of {', '.join(AGREEMENTS)}")
        latency = Crowd.one(self.delay, self.jitter).people[0].latency
        if self.latency is not None and self.latency.startswith(_RECORDED):
            from stream_al.cli.recorded import open_recording

            latency = Latency.recorded(open_recording(Path(self.latency.removeprefix(_RECORDED))).waits)
        elif self.latency is not None:
            latency = Latency.parse(self.latency)
        somebody = Annotator(wrong=self.wrong, abstain=self.abstain, silent=self.silent, latency=latency)
        if self.rate is not None:
            pause, by_time = parse_rate(self.rate)
            somebody = replace(somebody, pause=pause, paused_by_time=by_time)
        people = tuple(Annotator.parse(text, somebody) for text in self.annotators) or (somebody,)
        named = {str(label) for label in classes}
        for person in people:
            for label in person.wrong_for:
                if label not in named:
                    raise ConfigError(
                        f"annotator {person.name}: wrong.{label}: there is no such class; there are "
                        f"{', '.join(sorted(named)[:20])}"
                    )
        most = max(5, self.quorum)
        rules = DeskRules(
            quorum=self.quorum,
            agreement=self.agreement,
            max_answers=most,
            withdraw_below=self.withdraw_below,
        )
        hours = None if self.hours is None else WorkingHours.parse(self.hours)
        return Crowd(people, rules, classes, hours)

    def clock(self, stream: LabelledStream, crowd: Crowd) -> Clock:
        """Return the stream's time, where the people's is not counted in events."""
        from stream_al.replay.latency import Clock

        return Clock.of(stream.rows, per_hour=self.events_per_hour, needed=crowd.timed)


def processes_for(given: int | None, events: int) -> int:
    """Return how many processes to use for so many events in all runs together."""
    if given is not None:
        return given
    return 1 if events < _SMALL else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2


def require_enough(stream: LabelledStream, cold_start: int, crowd: Crowd) -> None:
    """Raise ConfigError when a stream ends before there is anything to see."""
    events = len(stream.rows)
    if events <= cold_start:
        raise ConfigError(
            f"{stream.name}: has {events:,} events, all of which --cold-start {cold_start} would ask about; "
            "give a lower number"
        )
    if events <= crowd.least:
        raise ConfigError(
            f"{stream.name}: has {events:,} events, so with labels {crowd.least:,.0f} events late none comes "
            "before the end; give a lower --delay"
        )


def _kafka(bootstrap: str | None) -> KafkaConfig | None:
    """Return how to connect, as the environment says; to these brokers, when given."""
    if bootstrap is None:
        return None
    from stream_al.config import Config, KafkaConfig

    return (Config().kafka or KafkaConfig()).model_copy(update={"bootstrap": bootstrap})


def _format(path: str) -> str | None:
    """Return which kind of JSONL a file is, by its first line: records, or flat objects; None for others."""
    from connectors.files import FileLines

    if not {".jsonl", ".ndjson"} & set(Path(path).suffixes):
        return None
    lines = FileLines(Path(path))
    try:
        first = json.loads(lines.read(1, 0.0)[0].data)
    except (ValueError, IndexError):
        first = None
    finally:
        lines.close()
    return "jsonl" if isinstance(first, dict) and isinstance(first.get("features"), dict) else "flat-jsonl"
