from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import kafka as kafka_python
import pytest
from broker import HERE, PROJECT, Broker, BrokerError, answers, why_missing
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

SCRAM = {
    "listeners": (
        "PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{second_port},"
        "CONTROLLER://127.0.0.1:{controller_port}"
    ),
    "sasl.enabled.mechanisms": "SCRAM-SHA-256",
    "listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
}


def make_topic(bootstrap: str, name: str, **configs: str) -> TopicPartition:
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        admin.create_topics({name: {"num_partitions": 1, "configs": configs}}, wait_for_metadata=True)
    return TopicPartition(name, 0)


def write(bootstrap: str, topic: str, *batches: tuple[str, list[bytes]]) -> None:
    """Each batch in a transaction of its own, which ends as its first item says."""
    with closing(KafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"{topic}-writer")) as producer:
        producer.init_transactions()
        for end, values in batches:
            producer.begin_transaction()
            for value in values:
                producer.send(topic, value=value, key=b"key")
            producer.flush()
            if end == "commit":
                producer.commit_transaction()
            else:
                producer.abort_transaction()


def committed(bootstrap: str, partition: TopicPartition) -> list[bytes]:
    """All values that a reader of committed transactions sees, from the first to the last stable offset."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False
    )
    with closing(consumer):
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        seen: list[bytes] = []
        while consumer.position(partition) < end:
            for records in consumer.poll(timeout_ms=100).values():
                seen += [record.value for record in records]
    return seen


def listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for did not come"


def test_kafka_is_kafka_python_and_not_this_folder() -> None:
    assert str(PROJECT / "tests") in sys.path
    assert kafka_python.__file__ is not None
    assert HERE not in Path(kafka_python.__file__).parents
    assert not list(HERE.glob("**/__init__.py"))


def test_what_is_committed_is_read_and_what_is_aborted_is_not(kafka: str, topics: str) -> None:
    partition = make_topic(kafka, f"{topics}events")
    write(kafka, partition.topic, ("commit", [b"1", b"2"]), ("abort", [b"lost"]), ("commit", [b"3"]))
    assert committed(kafka, partition) == [b"1", b"2", b"3"]


def test_no_topic_is_made_by_writing_to_it(kafka: str, topics: str) -> None:
    with (
        closing(KafkaProducer(bootstrap_servers=kafka, max_block_ms=1000)) as producer,
        pytest.raises(KafkaError),
    ):
        producer.send(f"{topics}none", b"x").get(5)
    with closing(KafkaAdminClient(bootstrap_servers=kafka)) as admin:
        assert f"{topics}none" not in admin.list_topics()


def test_a_missing_java_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    why = why_missing()
    assert why is not None
    assert "no `java` is found" in why
    assert "apt-get install" in why


@pytest.mark.slow
def test_committed_data_survive_a_kill_and_an_open_transaction_does_not(
    own_broker: Broker, topics: str
) -> None:
    partition = make_topic(own_broker.bootstrap, f"{topics}events")
    bootstrap, before = own_broker.bootstrap, own_broker.pid
    write(bootstrap, partition.topic, ("commit", [b"1", b"2"]))
    producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"{topics}open")
    with closing(producer):
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(partition.topic, b"open").get(10)
        own_broker.kill()
        assert own_broker.pid is None
        own_broker.restart()
        assert own_broker.bootstrap == bootstrap
        assert own_broker.pid not in (None, before)
        producer.abort_transaction()
    write(bootstrap, partition.topic, ("commit", [b"3"]))
    assert committed(bootstrap, partition) == [b"1", b"2", b"3"]


def cut_last_batch(partition: Path) -> int:
    """Take the last batch of records off a partition's log; return its attributes."""
    segment = max(partition.glob("*.log"))
    content = segment.read_bytes()
    at = last = 0
    while at < len(content):
        last, at = at, at + 12 + int.from_bytes(content[at + 8 : at + 12], "big")
    os.truncate(segment, last)
    return int.from_bytes(content[last + 21 : last + 23], "big")


@pytest.mark.slow
def test_what_was_decided_before_a_kill_is_ended_after_it(own_broker: Broker) -> None:
    """A broker 4.3.0 to 4.4.0 leaves a partition out whose leader is not back yet (KAFKA-20734)."""
    share = [TopicPartition("decided", number) for number in range(40)]
    with (
        closing(KafkaAdminClient(bootstrap_servers=own_broker.bootstrap)) as admin,
        closing(KafkaProducer(bootstrap_servers=own_broker.bootstrap, transactional_id="w")) as producer,
    ):
        admin.create_topics({"decided": {"num_partitions": len(share)}}, wait_for_metadata=True)
        producer.init_transactions()
        producer.begin_transaction()
        for partition in share:
            producer.send(partition.topic, b"decided", partition=partition.partition)
        producer.commit_transaction()
        wait_until(lambda: "CompleteCommit" in str(admin.list_transactions()))
        own_broker.kill()
    data = own_broker.folder / "data"
    logs = [data / f"decided-{partition.partition}" for partition in share]
    (state,) = {path.parent for path in data.glob("__transaction_state-*/*.log") if path.stat().st_size}
    # As if it had been killed after the decision: without the ends of the transaction, and that they have been written.
    assert all(cut_last_batch(log) & 0x20 for log in logs), "the last of each is a control batch"
    cut_last_batch(state)
    own_broker.restart()
    with closing(
        KafkaConsumer(bootstrap_servers=own_broker.bootstrap, isolation_level="read_committed")
    ) as reader:
        for partition in share:
            wait_until(lambda partition=partition: reader.end_offsets([partition])[partition] == 2, 20)


@pytest.mark.slow
def test_a_broker_does_not_outlive_a_killed_python(can_start: None, tmp_path: Path) -> None:
    program = (
        "from broker import Broker; broker = Broker('data'); broker.start();"
        " print(broker.port, flush=True); input()"
    )
    python = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with python:
        assert python.stdout is not None
        port = int(python.stdout.readline())
        assert listens(port)
        python.send_signal(signal.SIGKILL)
    wait_until(lambda: not listens(port))


@pytest.mark.slow
def test_a_second_listener_lets_in_who_has_the_password(can_start: None, tmp_path: Path) -> None:
    with Broker(tmp_path / "kafka", properties=SCRAM, scram={"ann": "secret"}) as broker:
        ann = {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_plain_username": "ann",
        }
        assert answers(broker.second_bootstrap, {**ann, "sasl_plain_password": "secret"})
        assert not answers(broker.second_bootstrap, {**ann, "sasl_plain_password": "wrong"})
        assert not answers(broker.second_bootstrap, {})


@pytest.mark.slow
def test_a_broker_that_does_not_start_says_why(can_start: None, tmp_path: Path) -> None:
    broker = Broker(tmp_path / "kafka", properties={"listeners": "NONSENSE://127.0.0.1:{port}"})
    with pytest.raises(BrokerError, match=r"(?s)the end of .*server\.log.*NONSENSE"):
        broker.start()
    assert broker.pid is None


@pytest.mark.slow
def test_a_topic_that_asks_for_it_is_compacted_within_seconds(kafka: str, topics: str) -> None:
    quickly = {
        "cleanup.policy": "compact",
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.001",
    }
    partition = make_topic(kafka, f"{topics}state", **quickly)
    last = 0

    def something_was_compacted() -> bool:
        # A segment is rolled by an append, so each look appends one.
        nonlocal last
        last += 1
        write(kafka, partition.topic, ("commit", [str(last).encode()]))
        return len(committed(kafka, partition)) < last

    wait_until(something_was_compacted)
