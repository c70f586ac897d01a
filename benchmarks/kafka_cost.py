"""What running on Kafka costs: the real worker beside the bare loop, latency, memory, takeover and start.

    python benchmarks/kafka_cost.py [--quick] [--only throughput|latency|memory|takeover|start]
                                    [--bootstrap HOST:PORT] [--data electricity.csv.gz]

Starts a broker of its own (Java and Maven are needed) unless one is named. Bare is kafka-python's consumer and
producer around River's ``predict_proba_one``, with as many records out, of the same size (`kafka_bare.py`).
All ratios are of runs one after the other, on the same broker. The events become visible at once, when all workers
have their share; what counts is the time until the last output is on the broker. A run during which other processes
had more than 8 % of the machine is done again. Without --data the events are drawn from river's RandomRBF, seven
numbers wide.

This file is not called kafka.py, which would hide kafka-python from itself.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kafka_bed import Bed, aside, bed, console, cores, rows
from kafka_latency import latency
from kafka_state import memory, start, takeover
from kafka_throughput import throughput, undisturbed
from rich.table import Table

PARTS = ("throughput", "latency", "memory", "takeover", "start")


class Goals:
    """What was measured beside what was wanted."""

    def __init__(self) -> None:
        self._table = Table("goal", "wanted", "measured", "", title="Goals")

    def below(self, name: str, found: float, most: float, unit: str) -> None:
        self._add(name, f"< {most:g} {unit}", f"{found:,.3g} {unit}", found < most)

    def least(self, name: str, found: float, least: float) -> None:
        self._add(name, f"≥ {least:.2f}", f"{found:.2f}", found >= least)

    def tell(self, name: str, found: str) -> None:
        self._table.add_row(name, "", found, "")

    def _add(self, name: str, wanted: str, found: str, met: bool) -> None:
        self._table.add_row(name, wanted, found, "[green]met" if met else "[red]not met")

    def show(self) -> None:
        console.print(self._table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bootstrap", help="host:port of a broker; otherwise one is started")
    parser.add_argument(
        "--data", type=Path, help="a CSV file (or .gz) of labelled events, features all numbers"
    )
    parser.add_argument("--label-column", default="label")
    parser.add_argument("--events", type=int, default=40_000, help="in each run of throughput")
    parser.add_argument("--rounds", type=int, default=3, help="of throughput, takeover and start")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each run of latency")
    parser.add_argument("--queries", type=int, default=1_000_000, help="the most that are open")
    parser.add_argument("--examples", type=int, default=20_000, help="on the log when a worker starts")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--quick", action="store_true", help="all of it, small, in about two minutes")
    options = parser.parse_args()
    if options.quick:
        options.events, options.rounds, options.seconds = 20_000, 1, 5.0
        options.queries, options.examples = 10_000, 5_000
    goals = Goals()
    data = rows(options.data, options.label_column)
    with bed(options.bootstrap, data) as ground:
        for part in (options.only,) if options.only else PARTS:
            run(part, ground, options, goals)
    goals.show()


def run(part: str, ground: Bed, options: argparse.Namespace, goals: Goals) -> None:
    """Measure one part."""
    if part == "throughput":
        counts = (1, 2) if options.quick else (1, 2, 4)
        others = () if options.quick else ("queried", "none")
        found = throughput(ground, options.events, options.rounds, counts, others, 0 if options.quick else 1)
        options.rates = {n: found[f"ours {n} all rate"] for n in (1, 2)}
        for workers in (1, 2):
            goals.least(f"throughput of {workers} workers, of bare", found[f"{workers} all of bare"], 0.80)
            goals.tell("  CPU of bare for an event, of ours", f"{found[f'{workers} all cpu']:.2f}")
        goals.tell(
            f"2 workers, times one ({cores()} cores, the broker on them too)",
            f"{options.rates[2] / options.rates[1]:.2f}; bare "
            f"{found['bare 2 all rate'] / found['bare 1 all rate']:.2f}",
        )
    elif part == "latency":
        if not hasattr(options, "rates"):
            with aside.status("the highest rates"):
                events = options.events
                options.rates = {n: undisturbed(ground, "ours", n, events, "all").rate for n in (1, 2)}
        found = latency(ground, {n: rate / 2 for n, rate in options.rates.items()}, options.seconds)
        for workers in options.rates:
            goals.below(
                f"event to prediction, p99, {workers} workers", found[f"{workers} prediction p99"], 250, "ms"
            )
        goals.below("label to learned by both workers, p99", found["2 fold p99"], 1000, "ms")
    elif part == "memory":
        sizes = tuple(n for n in (10_000, 100_000, 1_000_000) if n <= options.queries) or (options.queries,)
        found = memory(ground, sizes)
        goals.tell(f"memory with {sizes[-1]:,} open queries", f"{found['resident MB']:,.0f} MB")
        goals.tell("  an open query", f"{found['bytes a query']:,.0f} bytes")
    elif part == "takeover":
        count = min(100_000, options.queries)
        found = takeover(ground, count, options.rounds)
        goals.below(f"first prediction after joining, {count:,} open", found["first prediction"], 5, "s")
        goals.below("  its labels' queries read", found["labels ready"], 5, "s")
    else:
        found = start(ground, options.examples, options.rounds)
        goals.below(
            f"start from a snapshot, folding {options.examples:,} takes {found['folding']:.2f} s",
            found["snapshot"], found["folding"], "s",
        )  # fmt: skip


if __name__ == "__main__":
    main()
