"""`stream-al run`: the long-running consumer."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from stream_al.codec import EventRow
    from stream_al.config import Config
    from stream_al.monitor import Drift
    from stream_al.ports import Progress

_QUIET_SECONDS = 10.0
"""How often a run without a terminal says how it stands."""


def run_command(
    config: Annotated[
        Path, typer.Argument(help="The TOML file; `stream-al init` writes one.", show_default=False)
    ],
    until: Annotated[
        str | None,
        typer.Option(help="Overrides [run] until: events-end, answered or stopped.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the summary.")] = False,
) -> None:
    """Run a pipeline: answer events, ask people, learn from their labels.

    Goes on where the last run on the same store stopped, however it stopped. SIGINT (Ctrl-C) and SIGTERM
    finish the batch in hand, commit and leave; nothing is lost by kill -9 either.

    With [kafka] in the configuration this is one worker of a group: start as many as there are partitions,
    anywhere. It then works until it is stopped, unless told otherwise.

    Example: stream-al init pipeline.toml && stream-al run pipeline.toml
    """
    from stream_al.cli.assemble import assembled
    from stream_al.cli.summary import summary
    from stream_al.cli.webhooks import sending
    from stream_al.config import load_config
    from stream_al.errors import ConfigError
    from stream_al.runtime.worker import UNTIL, tune_collector

    settings = load_config(config)
    if until is None:
        on_kafka = settings.kafka is not None and "until" not in settings.run.model_fields_set
        until = "stopped" if on_kafka else settings.run.until
    if until not in UNTIL:
        raise ConfigError(f"--until {until}: must be one of {', '.join(UNTIL)}")
    stop = StopSignal()
    console = Console(stderr=True)

    def tell(text: str) -> None:
        console.print(f"note: {text}", style="yellow", highlight=False, markup=False, soft_wrap=True)

    if settings.kafka is not None:
        _report(
            _run_on_kafka(settings, str(config), until, stop, console, tell, quiet=quiet), as_json=as_json
        )
        return
    hooks = sending(settings, str(config), tell)
    with assembled(settings, str(config)) as pipeline:
        worker = pipeline.worker
        for notice in worker.notices:
            tell(notice)
        if worker.progress.events and not quiet:
            console.print(f"going on after event {worker.progress.events:,}", style="dim")
        tune_collector()
        reporting = Reporter(
            console, worker.progress, pipeline.learner.drift, worker.quarantined, quiet=quiet
        )
        with stop, hooks, reporting as reporter:
            worker.run(until, stop, lambda progress: reporter.update(progress, len(pipeline.learner.desk)))
        found = summary(worker.progress, len(pipeline.learner.desk), settings.strategy.stop_at)
        found["digest"] = pipeline.learner.model.digest()
        found["unknown_features"] = pipeline.learner.model.unknown_features
    _report(found, as_json=as_json)


def _report(found: dict[str, Any], *, as_json: bool) -> None:
    from stream_al.cli.summary import show

    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        show(found, Console())


def _run_on_kafka(
    settings: Config,
    name: str,
    until: str,
    stop: StopSignal,
    console: Console,
    tell: Callable[[str], None],
    *,
    quiet: bool,
) -> dict[str, Any]:
    """Run one worker of a group; return what it did itself."""
    from connectors.kafka.client import require_kafka
    from stream_al.cli.summary import summary
    from stream_al.runtime.worker import tune_collector

    require_kafka()
    from connectors.kafka.worker import KafkaWorker

    with stop:
        worker = KafkaWorker(settings, name, tell)
        began = time.monotonic()
        worker.recover(stop)
        if not quiet:
            took = time.monotonic() - began
            console.print(f"ready with {worker.model.version:,} examples after {took:.1f} s", style="dim")
        tune_collector()
        with Reporter(console, worker.progress, quiet=quiet) as reporter:
            worker.run(until, stop, lambda progress: reporter.update(progress, worker.open))
    found = summary(worker.progress, worker.open)
    found["digest"] = worker.model.digest()
    found["unknown_features"] = worker.model.unknown_features
    return found


class StopSignal:
    """True once SIGINT or SIGTERM came; as a context manager it listens for them. A second one kills."""

    def __init__(self) -> None:
        self._stopped = False
        self._before: dict[signal.Signals, object] = {}

    def __call__(self) -> bool:
        """Tell whether a signal came."""
        return self._stopped

    def __enter__(self) -> StopSignal:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True
        signal.signal(number, signal.SIG_DFL)


def _distrusted(progress: Progress) -> dict[str, str]:
    """Return who is distrusted, and what there is to say of them."""
    from stream_al.reliability import standings_of, told_of

    return {one.name: told_of(one) for one in standings_of(progress.desk) if one.distrusted}


class Reporter:
    """Shows how a run stands: a live line on a terminal, a line now and then elsewhere."""

    def __init__(
        self,
        console: Console,
        start: Progress,
        drift: Drift | None = None,
        quarantined: Mapping[str, EventRow] | None = None,
        *,
        quiet: bool,
    ) -> None:
        from rich.live import Live

        self._drift, self._quarantined = drift, {} if quarantined is None else quarantined
        self._told = quarantines(start)
        self._alarms = 0 if drift is None else drift.alarms
        self._known, self._distrusted = start.desk, _distrusted(start)
        self._console = console
        self._quiet = quiet
        self._began = self._last = time.monotonic()
        self._events_before = start.events
        self._live = Live(console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Reporter:
        if self._console.is_terminal and not self._quiet:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live.is_started:
            self._live.stop()

    def update(self, progress: Progress, open_queries: int) -> None:
        """Show how things stand after a batch. Alarms are said even to who wants quiet."""
        if self._drift is not None and self._drift.alarms > self._alarms:
            for alarm in list(self._drift.recent)[self._alarms - self._drift.alarms :]:
                self._console.print(f"drift: {alarm.text()}", style="yellow", highlight=False)
            self._alarms = self._drift.alarms
        self._tell_of_quarantine(progress)
        if progress.desk != self._known:
            self._known, before, self._distrusted = progress.desk, self._distrusted, _distrusted(progress)
            for name, text in self._distrusted.items():
                if name not in before:
                    self._console.print(f"annotator: {text}", style="yellow", highlight=False, markup=False)
        if self._quiet:
            return
        now = time.monotonic()
        asked = sum(count for name, count in progress.counts.items() if name.startswith("asked:"))
        rate = (progress.events - self._events_before) / max(now - self._began, 1e-9)
        line = (
            f"{progress.events:,} events ({rate:,.0f}/s) · {asked:,} asked · {progress.labels:,} labels · "
            f"{open_queries:,} open · {progress.examples:,} learned"
        )
        measured = progress.counts.get("measured", 0)
        if measured:
            line += f" · accuracy {progress.counts.get('correct', 0) / measured:.1%}"
        dead = sum(count for name, count in progress.counts.items() if name.startswith("dead:"))
        if dead:
            line += f" · {dead:,} dead letters"
        if self._live.is_started:
            self._live.update(Text(line))
        elif now - self._last > _QUIET_SECONDS:
            self._last = now
            self._console.print(line, highlight=False)

    def _tell_of_quarantine(self, progress: Progress) -> None:
        """Say when the first, the tenth, the hundredth … event goes into quarantine for a reason."""
        from stream_al.strategies.guard import QUARANTINED

        for reason, count in quarantines(progress).items():
            if len(str(count)) > len(str(self._told[reason])) or (count and not self._told[reason]):
                text = f"guard: {count:,} {'event is' if count == 1 else 'events are'} in quarantine ({reason}), as "
                text += QUARANTINED[reason]
                last = self._quarantined.get(reason)
                if last is not None:
                    text += f"; the last: {last.id!r}" + (f" of {last.key!r}" if last.key else "")
                self._console.print(text, style="yellow", highlight=False, markup=False, soft_wrap=True)
                self._told[reason] = count


def quarantines(progress: Progress) -> dict[str, int]:
    """Return how many events a guard kept in quarantine, by the reason."""
    from stream_al.strategies.guard import QUARANTINED

    return {reason: progress.counts.get(f"blocked:{reason}", 0) for reason in QUARANTINED}
