"""The simulated oracle on a real broker, without any worker: the queries are written by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from kafka import KafkaProducer
from pipelines import until

from connectors.kafka import client
from connectors.kafka.oracle import TopicOracle
from connectors.kafka.topics import create
from connectors.kafka.wire import STATUS, VOTES, partition_of, partitions
from stream_al import SourceError
from stream_al.config import Config, KafkaConfig, checked

pytestmark = pytest.mark.slow

PARTITIONS = 3
IDS = [f"e-{number}" for number in range(200)]


def pipeline(kafka: str, prefix: str) -> Config:
    numbers = {"partitions": PARTITIONS, "query_partitions": PARTITIONS, "replication": 1}
    return checked({"kafka": {"bootstrap": kafka, "topics": {"prefix": prefix} | numbers}}, "x")


class Bench:
    """The topics, and what a worker would do to them."""

    def __init__(self, config: Config) -> None:
        assert config.kafka is not None
        create(config)
        self.config: KafkaConfig = config.kafka
        self._producer: KafkaProducer = client.producer(self.config)

    def ask(self, event_id: str, *headers: tuple[str, bytes]) -> None:
        self._write(event_id, b'{"as": "workers write it"}', headers)

    def close_query(self, event_id: str) -> None:
        self._write(event_id, None, ((STATUS, b"answered"),))

    def _write(self, event_id: str, value: bytes | None, headers: tuple[tuple[str, bytes], ...]) -> None:
        topic, partition = self.config.topics.name("queries"), partition_of(event_id, PARTITIONS)
        self._producer.send(topic, value, event_id.encode(), list(headers), partition).get(30)

    def labels(self) -> list[Any]:
        """All records of `labels`."""
        topic = self.config.topics.name("labels")
        with client.consumer(self.config) as consumer:
            share = partitions(topic, range(PARTITIONS))
            consumer.assign(share)
            consumer.seek_to_beginning(*share)
            ends, found = consumer.end_offsets(share), []
            while any(consumer.position(partition) < end for partition, end in ends.items()):
                for records in consumer.poll(500).values():
                    found += records
        return found

    def close(self) -> None:
        self._producer.close()


@pytest.fixture
def bench(kafka: str, topics: str) -> Iterator[Bench]:
    made = Bench(pipeline(kafka, topics))
    yield made
    made.close()


def said(record: Any) -> tuple[str, object]:
    content = json.loads(record.value)
    assert record.key.decode() == content["event_id"]
    return content["event_id"], content["label"]


def test_it_answers_with_the_truth_in_the_partition_of_the_query(bench: Bench) -> None:
    for event_id in IDS[:20]:
        bench.ask(event_id)
    with TopicOracle(bench.config, {event_id: event_id.upper() for event_id in IDS}) as oracle:
        until(lambda: oracle.step() >= 0 and oracle.sent == 20, "all are answered")
        oracle.flush()
        assert (oracle.queries, oracle.pending, oracle.open) == (20, 0, 20)
    found = bench.labels()
    assert sorted(map(said, found)) == sorted((event_id, event_id.upper()) for event_id in IDS[:20])
    assert all(record.partition == partition_of(said(record)[0], PARTITIONS) for record in found)


def test_an_answer_comes_as_many_queries_later_as_it_was_told_and_out_of_order(bench: Bench) -> None:
    late: dict[str, int] = {}
    with TopicOracle(bench.config, lambda event_id: 1, delay=5, jitter=10) as oracle:
        order: list[str] = []
        answer = oracle._answer

        def noted(due: int, turn: int, event_id: str, again: bool) -> int:
            late[event_id] = oracle.queries - IDS.index(event_id) - 1
            order.append(event_id)
            return answer(due, turn, event_id, again)

        oracle._answer = noted
        for number, event_id in enumerate(IDS[:60]):
            bench.ask(event_id)
            until(lambda n=number: oracle.step() >= 0 and oracle.queries == n + 1, "it is read")
        assert oracle.pending > 0
        before = oracle.sent
        assert oracle.hurry() == 60 - before
    assert min(list(late.values())[:before]) >= 5
    assert max(list(late.values())[:before]) <= 16
    assert any(IDS.index(one) > IDS.index(other) for one, other in pairwise(order))


def test_the_shares_are_as_told_and_the_seed_decides_which(bench: Bench) -> None:
    for event_id in IDS:
        bench.ask(event_id)
    runs = []
    for name, seed in (("a", "one"), ("b", "one"), ("c", "another")):
        with TopicOracle(
            bench.config, lambda event_id: True, twice=0.2, misplaced=0.3, seed=seed, annotator=name
        ) as oracle:
            until(lambda: oracle.step() >= 0 and oracle.queries == len(IDS), "all are read")
            oracle.hurry()
            oracle.flush()
            assert oracle.sent == len(IDS) + oracle.sent_twice
            assert 0.1 * len(IDS) < oracle.sent_twice < 0.3 * len(IDS)
            assert 0.2 * oracle.sent < oracle.sent_misplaced < 0.4 * oracle.sent
            runs.append((oracle.sent_twice, oracle.sent_misplaced))
    found = bench.labels()
    sent = {
        name: sorted((said(r)[0], r.partition) for r in found if json.loads(r.value)["annotator"] == name)
        for name in "abc"
    }
    assert sent["a"] == sent["b"] != sent["c"]
    assert runs[0] == (
        len(sent["a"]) - len({event_id for event_id, _ in sent["a"]}),
        sum(partition != partition_of(event_id, PARTITIONS) for event_id, partition in sent["a"]),
    )


def test_what_is_closed_meanwhile_is_not_answered_and_votes_are_no_new_query(bench: Bench) -> None:
    with TopicOracle(bench.config, lambda event_id: "x", delay=1000) as oracle:
        for event_id in ("a", "b"):
            bench.ask(event_id)
        until(lambda: oracle.step() == 0 and oracle.open == 2, "both are read")
        bench.ask("b", (VOTES, b"[]"))
        bench.close_query("a")
        until(lambda: oracle.step() == 0 and oracle.open == 1, "the tombstone is read")
        assert (oracle.queries, oracle.pending) == (2, 2)
        assert oracle.hurry() == 1
    assert [said(record) for record in bench.labels()] == [("b", "x")]


def test_what_nobody_knows_stays_open(bench: Bench) -> None:
    bench.ask("known")
    bench.ask("unknown")
    with TopicOracle(bench.config, {"known": False}) as oracle:
        until(lambda: oracle.step() >= 0 and oracle.queries == 2, "both are read")
    assert [said(record) for record in bench.labels()] == [("known", False)]


def test_one_that_runs_answers_what_no_further_query_makes_due(bench: Bench) -> None:
    bench.ask("a")
    with TopicOracle(bench.config, {"a": 1}, delay=50) as oracle:
        oracle.run(lambda: oracle.sent == 1, patience=0.1)
        assert oracle.pending == 0
    assert [said(record) for record in bench.labels()] == [("a", 1)]


def test_missing_topics_are_named_with_the_remedy(kafka: str, topics: str) -> None:
    config = pipeline(kafka, topics).kafka
    assert config is not None
    with pytest.raises(SourceError, match=rf"{topics}queries.*stream-al topics create"):
        TopicOracle(config, {})


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="delay = -1"):
        TopicOracle(KafkaConfig(), {}, delay=-1)
    with pytest.raises(ValueError, match=r"misplaced = 1\.5"):
        TopicOracle(KafkaConfig(), {}, misplaced=1.5)
