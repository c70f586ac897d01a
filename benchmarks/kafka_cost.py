"""What running on Kafka costs: the real worker beside the bare loop, latency, memory, takeover and start.

    python benchmarks/kafka_cost.py [--quick] [--only throughput|latency|memory|takeover|start]
                                    [--client kafka-python|confluent]
                                    [--bootstrap HOST:PORT] [--data electricity.csv.gz]

Starts a broker of its own (Java and Maven are needed) unless one is named. All is measured with both clients, if
confluent-kafka is installed, unless one is named. Bare is the client's consumer and producer around River's
``predict_proba_one``, with as many records out, of the same size (`kafka_bare.py`).
All ratios are of runs one after the other, on the same broker. The events become visible at once, when all workers
have their share; what counts is the time until the last output is on the broker. A run during which other processes
had more than 8 % of the machine is done again. Without --data the events are drawn from river's RandomRBF, seven
numbers wide.

This file is not called kafka.py, which would hide kafka-python from itself.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from kafka_bed import Bed, aside, bed, console, cores, rows
from kafka_latency import latency
from kafka_state import memory, start, takeover
from kafka_throughput import throughput, undisturbed
from rich.table import Table

CLIENTS = ("kafka-python", "confluent")
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
    parser.add_argument("--client", choices=CLIENTS, help="one client; otherwise both")
    parser.add_argument("--quick", action="store_true", help="all of it, small, in some minutes")
    options = parser.parse_args()
    if options.quick:
        options.events, options.rounds, options.seconds = 20_000, 1, 5.0
        options.queries, options.examples = 10_000, 5_000
    clients = (
        (options.client,) if options.client else CLIENTS[: 1 + (find_spec("confluent_kafka") is not None)]
    )
    goals, rates = Goals(), Rates()
    data = rows(options.data, options.label_column)
    with bed(options.bootstrap, data) as ground:
        for part in (options.only,) if options.only else PARTS:
            if part == "throughput":
                measure_throughput(ground, clients, options, goals, rates)
                continue
            for ground.client in clients:
                run(part, ground, options, goals, rates)
    goals.show()


Rates = dict[tuple[str, int], float]
"""By client and number of workers, the events a second that they can do."""


def measure_throughput(
    ground: Bed, clients: tuple[str, ...], options: argparse.Namespace, goals: Goals, rates: Rates
) -> None:
    """Measure it, of all clients in turns."""
    counts = (1, 2) if options.quick else (1, 2, 4)
    others = () if options.quick else ("queried", "none")
    found = throughput(
        ground, clients, options.events, options.rounds, counts, others, 0 if options.quick else 1
    )
    for client in clients:
        rates |= {(client, n): found[f"{client} ours {n} all rate"] for n in (1, 2)}
        for workers in (1, 2):
            name = f"{client}: throughput of {workers} workers, of bare"
            goals.least(name, found[f"{client} {workers} all of bare"], 0.80)
            goals.tell("  CPU of bare for an event, of ours", f"{found[f'{client} {workers} all part']:.2f}")
        goals.tell(
            f"  2 workers, times one ({cores()} cores, the broker on them too)",
            f"{rates[client, 2] / rates[client, 1]:.2f}; bare "
            f"{found[f'{client} bare 2 all rate'] / found[f'{client} bare 1 all rate']:.2f}",
        )
    if len(clients) == 2:
        for kind in ("ours", "bare"):
            cpu = [found[f"{client} {kind} 1 all cpu"] for client in reversed(clients)]
            rate = [found[f"{client} {kind} 1 all rate"] for client in reversed(clients)]
            goals.tell(
                f"confluent beside kafka-python, {kind}, one worker",
                f"{cpu[0] / cpu[1]:.2f}× the CPU, {rate[0] / rate[1]:.2f}× the events/s",
            )


def run(part: str, ground: Bed, options: argparse.Namespace, goals: Goals, rates: Rates) -> None:
    """Measure one of the other parts, of one client."""
    client = ground.client
    if part == "latency":
        # Both at the rate of the first, which is also what one machine can feed and follow by kafka-python.
        first = min(rates, key=lambda known: CLIENTS.index(known[0]))[0] if rates else client
        for workers in (1, 2):
            if (first, workers) not in rates:
                with aside.status("the highest rates"):
                    rates[first, workers] = undisturbed(ground, "ours", workers, options.events, "all").rate
        found = latency(ground, {n: rates[first, n] / 2 for n in (1, 2)}, options.seconds)
        for workers in (1, 2):
            name = f"{client}: event to prediction, p99, {workers} workers"
            goals.below(name, found[f"{workers} prediction p99"], 250, "ms")
        goals.below(f"{client}: label to learned by both workers, p99", found["2 fold p99"], 1000, "ms")
    elif part == "memory":
        sizes = tuple(n for n in (10_000, 100_000, 1_000_000) if n <= options.queries) or (options.queries,)
        found = memory(ground, sizes)
        goals.tell(f"{client}: memory with {sizes[-1]:,} open queries", f"{found['resident MB']:,.0f} MB")
        goals.tell("  an open query", f"{found['bytes a query']:,.0f} bytes")
    elif part == "takeover":
        count = min(100_000, options.queries)
        found = takeover(ground, count, options.rounds)
        goals.below(
            f"{client}: first prediction after joining, {count:,} open", found["first prediction"], 5, "s"
        )
        goals.below("  its labels' queries read", found["labels ready"], 5, "s")
    else:
        found = start(ground, options.examples, options.rounds)
        goals.below(
            f"{client}: start from a snapshot, folding {options.examples:,} takes {found['folding']:.2f} s",
            found["snapshot"], found["folding"], "s",
        )  # fmt: skip


if __name__ == "__main__":
    main()
