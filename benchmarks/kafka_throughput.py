"""How many events a second, and what CPU each costs: the real worker beside the bare loop."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from kafka_bed import BUDGET, ROOT, Bed, Pipeline, Process, Sampler, aside, console, cores
from rich.table import Table

_DISTURBED = 0.08
"""The share of the machine that others may use before a run is done again."""


class Run(NamedTuple):
    """What one run showed, from when the events could be seen until the last output was on the broker.

    Not from the first output, nor its middle part: the bare loop's outputs queue up in its producer, and come at last
    faster than they are made.
    """

    rate: float
    """Events a second, all processes together."""
    cpu: float
    """CPU microseconds an event, of the workers."""
    broker: float
    """The same of the broker; 0 when it is not ours."""
    others: float
    """The share of the machine's CPU that went to processes that have nothing to do with this; 0 when it cannot be told."""
    shares: str
    """How many partitions of events each worker had."""


def start(pipeline: Pipeline, kind: str) -> Process:
    if kind == "ours":
        return pipeline.start()
    command = [sys.executable, str(ROOT / "benchmarks" / "kafka_bare.py"), str(pipeline.path())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    return Process(process.pid, process)


def run(bed: Bed, kind: str, workers: int, events: int, predictions: str = "all") -> Run:
    """Start the workers, wait until all have their share, show them the events, and see how long they take."""
    pipeline = bed.pipeline(predictions=predictions)
    pipeline.time_outputs()
    pipeline.teach()
    with pipeline.hidden_events(events) as show:
        started = [start(pipeline, kind) for _ in range(workers)]
        try:
            kinds = ("events", "labels") if kind == "ours" else ("events",)
            owned = pipeline.wait_for_members(workers, kinds=kinds)
            time.sleep(1.0)  # what they do on taking over is done, too
            pids = [process.pid for process in started]
            helpers = [os.getpid(), *([bed.broker_pid] if bed.broker_pid else [])]
            with Sampler([*pids, *helpers]) as sampler:
                shown = show()
                wait_for(lambda: pipeline.committed() >= events, 20 + events / 500)
                time.sleep(0.1)
        finally:
            for process in started:
                process.stop()
    outputs = pipeline.appended("predictions" if predictions != "none" else "queries")
    last = float(outputs[-1])
    machine, each = sampler.used(shown, last)
    return Run(
        events / (last - shown),
        sum(each[:workers]) * 1e6 / events,
        sum(each[workers + 1 :]) * 1e6 / events,
        max(0.0, machine - sum(each)) / (cores() * (last - shown)) if bed.broker_pid else 0.0,
        "+".join(map(str, sorted(owned.values(), reverse=True))),
    )


def wait_for(met: Callable[[], bool], patience: float, pause: float = 0.25) -> None:
    deadline = time.monotonic() + patience
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {patience:.0f} seconds")
        time.sleep(pause)


def undisturbed(bed: Bed, kind: str, workers: int, events: int, predictions: str, again: int = 1) -> Run:
    """Run once, or again when something else used the machine; the least disturbed counts."""
    tried = []
    for _ in range(1 + again):
        tried.append(run(bed, kind, workers, events, predictions))
        if tried[-1].others <= _DISTURBED:
            break
    return min(tried, key=lambda one: one.others)


def throughput(
    bed: Bed,
    clients: Sequence[str],
    events: int,
    rounds: int,
    counts: tuple[int, ...],
    others: tuple[str, ...],
    again: int,
) -> dict[str, float]:
    """Print the table; return the goals' figures and the rates other parts need.

    Parameters
    ----------
    bed, clients, events, rounds
        Where, with what, with how many events in each run, and how often.
    counts
        How many workers; the bare loop runs as two at most.
    others
        What else ``predictions`` may be, with one worker.
    again
        How often a disturbed run is done again.
    """
    ways = [("bare", n, "all") for n in counts if n <= 2] + [("ours", n, "all") for n in counts]
    ways += [(kind, 1, wanted) for wanted in others for kind in ("bare", "ours")]
    # Bare, ours, bare, ours, and those of both clients one after the other.
    ways.sort(key=lambda way: (way[2], way[1], way[0]))
    found: dict[tuple[str, str, int, str], list[Run]] = {}
    with aside.status("warming up the broker"):
        run(bed, "bare", 1, events // 2)
    for number in range(rounds):
        for kind, workers, wanted in ways:
            for bed.client in clients:
                what = f"{bed.client}, {kind}, {workers} workers, {wanted}"
                with aside.status(f"throughput, round {number + 1}/{rounds}: {what}"):
                    one = undisturbed(bed, kind, workers, events, wanted, again)
                found.setdefault((bed.client, kind, workers, wanted), []).append(one)
                aside.print(
                    f"{what}: {one.rate:,.0f}/s, {one.cpu:.1f} µs, broker {one.broker:.1f} µs, "
                    f"others {one.others:.0%}, shares {one.shares}", style="dim", highlight=False,
                )  # fmt: skip
    table = Table(
        "client", "", "workers", "predictions", "events/s", "each", "of bare", "CPU µs/event", "bare's part",
        "broker µs", "others", "shares",
        title=f"{events:,} events, {BUDGET:.0%} asked about, {cores()} cores with the broker on them; medians of {rounds}",
    )  # fmt: skip
    result: dict[str, float] = {}
    for client in clients:
        for kind, workers, wanted in ways:
            runs = found[client, kind, workers, wanted]
            rate, cpu = median(r.rate for r in runs), median(r.cpu for r in runs)
            pairs = list(zip(found.get((client, "bare", workers, wanted), []), runs, strict=False))
            beside = median(ours.rate / bare.rate for bare, ours in pairs) if pairs else 0.0
            part = median(bare.cpu / ours.cpu for bare, ours in pairs) if pairs else 0.0
            shown = kind == "ours" and pairs
            table.add_row(
                client, kind, str(workers), wanted, f"{rate:,.0f}", f"{rate / workers:,.0f}",
                f"{beside:.2f}" if shown else "", f"{cpu:.1f}", f"{part:.2f}" if shown else "",
                f"{median(r.broker for r in runs):.1f}" if bed.broker_pid else "?",
                f"{max(r.others for r in runs):.0%}" if bed.broker_pid else "?",
                " ".join(dict.fromkeys(r.shares for r in runs)),
            )  # fmt: skip
            result[f"{client} {kind} {workers} {wanted} rate"] = rate
            result[f"{client} {kind} {workers} {wanted} cpu"] = cpu
            if shown:
                result[f"{client} {workers} {wanted} of bare"] = beside
                result[f"{client} {workers} {wanted} part"] = part
    console.print(table)
    return result
