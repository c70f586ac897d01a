"""Print the tables of all benchmarks, each in a quick setting, one after the other; what `make bench` runs.

    python benchmarks/bench.py [--only NAME ...]

Says which one runs, and how long it took. What needs something that is not installed here (the extra ``bench``; Java and
Maven for Kafka) is passed over, and named at the end. The numbers of the documentation come from longer runs; each
benchmark's own ``--help`` says how.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
QUICK: Final = {
    "speed": ["--events", "10000", "--passes", "2"],
    "peers": ["--rounds", "5"],
    "replay": ["--events", "3000", "--seeds", "1"],
    "open_queries": ["--most", "10000", "--rounds", "9"],
    "long_run": ["--most", "10000", "--rounds", "9"],
    "tails": ["--events", "5000"],
    "annotate": ["--open", "2000", "--annotators", "5", "--seconds", "10"],
    "label_efficiency": [
        "--learners",
        "linear",
        "--streams",
        "rbf",
        "--budgets",
        "0.1",
        "--seeds",
        "1",
        "--results",
        "{}/rows.jsonl",
    ],
    "rare_classes": ["--seeds", "1"],
    "representatives": ["--seeds", "1"],
    "grouping": ["--seeds", "1", "--budget", "0.05"],
    "honest_accuracy": ["--streams", "50", "--events", "1000"],
    "drift_reserve": ["--events", "4000", "--seeds", "1"],
    "poison": ["--seeds", "1"],
    "flood": ["--streams", "segments", "--events", "150"],
    "explore_price": ["--seeds", "1"],
    "late_labels": ["--delays", "500", "--seeds", "1", "--tried", "apart"],
    "weighted_labels": ["--seeds", "1"],
    "withdraw": ["--seeds", "1", "--budget", "0.02"],
    "kafka_cost": ["--quick"],
}
"""The benchmarks, and the arguments of a quick run; {} is a folder for what it writes."""
EXTRA: Final = ("skactiveml", "vowpalwabbit")


def missing(name: str) -> str | None:
    """Return what a benchmark needs and this machine has not."""
    if name in ("peers", "label_efficiency") and not all(map(find_spec, EXTRA)):
        return "pip install 'stream-al[bench]'"
    if name == "kafka_cost" and not (shutil.which("java") and shutil.which("mvn")):
        return "Java and Maven, for a broker"
    return None


def spent() -> float:
    """Return the CPU seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=QUICK, default=list(QUICK), metavar="NAME")
    names = parser.parse_args().only
    failed, passed_over = [], []
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(HERE.parent), os.environ.get("PYTHONPATH")))),
    }
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(names, 1):
            if (needed := missing(name)) is not None:
                passed_over.append(f"{name} needs {needed}")
                continue
            arguments = [argument.format(folder) for argument in QUICK[name]]
            print(
                f"\n[{number}/{len(names)}] python benchmarks/{name}.py {' '.join(QUICK[name])}", flush=True
            )
            began, before = time.monotonic(), spent()
            ran = subprocess.run(
                [sys.executable, HERE / f"{name}.py", *arguments], check=False, env=environment
            )
            took = f"{time.monotonic() - began:.0f} s, {spent() - before:.0f} s of CPU"
            print(f"[{number}/{len(names)}] {took}", flush=True)
            if ran.returncode:
                failed.append(name)
    for sentence in passed_over:
        print(f"passed over: {sentence}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
