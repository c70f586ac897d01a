"""What the annotator's page costs: how fast it answers, its memory, its bytes.

    python benchmarks/annotate.py [--open 20000] [--annotators 20] [--seconds 60] [--pause 1.0]

A store with that many open queries of ten features each; the real server in a process of its own, with a login; and
that many annotators, each with a connection of their own, who answer, wait (exponentially, ``--pause`` on average), and
answer again. No worker runs, so whoever is dealt a card passes by all that was answered before: the harder case.
*submit* is an answer, durable on the disk, with the next card in the same response, as the page sends it; *next* is a
fresh page's first four cards. Times are of the client, from sending to the last byte. Where a Chromium is on PATH,
*painted* is the time from a key to the next card's painting in it, while the annotators go on.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import quantiles
from typing import Any

from rich.console import Console
from rich.table import Table
from river.naive_bayes import GaussianNB

from connectors.memory import MemoryEvents, MemorySink
from connectors.sqlite import SqliteLabels, SqliteStore
from connectors.sqlite.people import SqlitePeople
from stream_al import ActiveLearner, ColdStart, DeskRules, Random
from stream_al.annotate.access import Person, hashed, new_token
from stream_al.annotate.server import HERE
from stream_al.codec import EventRow
from stream_al.runtime import Worker

CLASSES = ["fraud", "legitimate", "unclear"]


def make_store(path: Path, count: int) -> None:
    """Have a worker ask about every event."""
    draw = random.Random(1)
    events = [
        EventRow(id=f"e{n}", features={f"feature {k}": draw.gauss(0.0, 1.0) for k in range(10)})
        for n in range(count)
    ]
    store = SqliteStore(path, {"model": {"classes": CLASSES, "label_type": "str"}})
    rules = DeskRules(max_open=count + 1)
    learner = ActiveLearner(GaussianNB(), ColdStart(Random(1.0), rule="all", examples=count), rules=rules)
    worker = Worker(learner, MemoryEvents(events), SqliteLabels(store), MemorySink(), store)
    worker.recover()
    worker.run()
    store.close()


class Annotator(threading.Thread):
    """Somebody who answers for a while."""

    def __init__(self, port: int, name: str, token: str, pause: float) -> None:
        super().__init__(name=name)
        self.connection = http.client.HTTPConnection("localhost", port, timeout=30)
        self.submits: list[float] = []
        self.nexts: list[float] = []
        self._draw = random.Random(name)
        self._pause, self.stop = pause, threading.Event()
        self._headers: dict[str, str] = {}
        self.call("POST", "/login", f"name={name}&token={token}")
        found = re.search(r'data-csrf="(\w+)"', self.call("GET", "/"))
        assert found is not None
        self._headers["X-CSRF-Token"] = found[1]

    def call(self, method: str, path: str, body: str | None = None) -> str:
        self.connection.request(method, path, body, self._headers)
        answer = self.connection.getresponse()
        if cookie := answer.headers.get("Set-Cookie"):
            self._headers["Cookie"] = cookie.partition(";")[0]
        text = answer.read().decode()
        assert answer.status < 400, text
        return text

    def sync(self, times: list[float], have: list[str], *operations: dict[str, Any]) -> list[str]:
        body = json.dumps({"operations": operations, "have": have, "want": 4})
        began = time.perf_counter()
        text = self.call("POST", "/sync", body)
        times.append(time.perf_counter() - began)
        reply = json.loads(text)
        assert all(done["state"] == "kept" for done in reply["done"]), reply["done"]
        return [
            *(event for event in have if event not in reply["gone"]),
            *(card["id"] for card in reply["cards"]),
        ]

    def run(self) -> None:
        time.sleep(self._draw.random() * self._pause)
        cards = self.sync(self.nexts, [])
        number = 0
        while cards and not self.stop.wait(self._draw.expovariate(1.0 / self._pause)):
            number += 1
            said = {
                "op": "answer", "key": f"{self.name}-{number:06d}", "event_id": cards[0],
                "label": json.dumps(self._draw.choice(CLASSES)),
            }  # fmt: skip
            cards = self.sync(self.submits, cards[1:], said)
            if number % 5 == 0:
                cards = self.sync(self.nexts, [])


def painted(url: str, name: str, token: str, cards: int) -> list[float] | None:
    """Return seconds from a key to the next card's painting; None where there is no browser."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if path is None:
        return None
    with sync_playwright() as playwright:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        page = browser.new_page()
        page.goto(f"{url}login")
        page.fill("#name", name)
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.wait_for_selector("#card:not([hidden])")
        page.evaluate("""() => {
            window.times = [];
            addEventListener("keydown", event => {
                const title = document.querySelector("#title"), before = title.textContent;
                requestAnimationFrame(() => setTimeout(() => {
                    if (title.textContent !== before) times.push(performance.now() - event.timeStamp);
                }));
            }, true);
        }""")
        for _ in range(cards):
            page.keyboard.press("1")
            page.wait_for_timeout(300)
        found: list[float] = page.evaluate("times")
        browser.close()
    assert len(found) == cards, f"{len(found)} of {cards} cards were painted at once"
    return [each / 1000 for each in found]


def peak(pid: int) -> float:
    """Return the most memory a process has held, in MB."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1000 if found else float("nan")


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--open", type=int, default=20_000)
    options.add_argument("--annotators", type=int, default=20)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--pause", type=float, default=1.0)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.db"
        make_store(path, given.open)
        table = SqlitePeople(path)
        tokens = {f"annotator {n}": new_token() for n in range(given.annotators + 1)}
        for name, token in tokens.items():
            table.put(Person(name, "annotator", hashed(token), 0.0), "benchmark")
        table.close()
        command = [
            sys.executable,
            "-m",
            "stream_al",
            "annotate",
            str(path),
            "--host",
            "0.0.0.0",
            "--port",
            "0",
        ]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert server.stderr is not None
            port = int(server.stderr.readline().split(":")[2].split("/")[0])
            measure(given, port, tokens, server.pid)
        finally:
            server.terminate()
            server.wait()


def measure(given: argparse.Namespace, port: int, tokens: dict[str, str], pid: int) -> None:
    """Let the annotators work, and print what it took."""
    (own, *others) = tokens.items()
    people = [Annotator(port, name, token, given.pause) for name, token in others]
    for person in people:
        person.start()
    time.sleep(given.seconds)
    rows = {
        "submit": [x for person in people for x in person.submits],
        "next": [x for person in people for x in person.nexts],
    }
    rows["painted"] = painted(f"http://localhost:{port}/", *own, cards=60) or []
    for person in people:
        person.stop.set()
    for person in people:
        person.join()
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("", "n", "median", "p99", "most"):
        table.add_column(column, justify="left" if not column else "right")
    for name, times in rows.items():
        if len(times) > 1:
            cuts = quantiles(times, n=100)
            figures = (f"{1000 * x:.1f} ms" for x in (cuts[49], cuts[98], max(times)))
            table.add_row(name, f"{len(times):,}", *figures)
    console = Console()
    console.print(f"{given.open:,} open queries, {given.annotators} annotators, {given.seconds:.0f} s")
    console.print(table)
    files = [*(HERE / "static").iterdir(), HERE / "pages" / "annotate.html", HERE / "pages" / "frame.html"]
    sizes = {path.name: path.stat().st_size for path in files if not path.name.startswith("dashboard")}
    scripts = sum(size for name, size in sizes.items() if name.endswith(".js"))
    weight = f"{sum(sizes.values()) / 1000:.1f} kB, of it scripts {scripts / 1000:.1f} kB"
    console.print(f"server: {peak(pid):.0f} MB at most; page: {weight}")


if __name__ == "__main__":
    main()
