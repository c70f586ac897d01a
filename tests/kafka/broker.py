"""A real Apache Kafka broker for tests and demos: one node in KRaft mode, no Docker.

The jars come from Maven once, into ``.venv/kafka-<version>`` (or ``~/.cache/stream_al`` where the project has no
``.venv``); ``pom.xml`` beside this file pins the version. A broker starts in a few seconds on a port of its own.

Keep this folder free of ``__init__.py``: ``tests`` is on the path, and a regular package ``kafka`` in it would hide
kafka-python's. ``Broker`` is imported as ``from broker import Broker`` by whatever has this folder on its path.
"""

from __future__ import annotations

import fcntl
import functools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from xml.etree import ElementTree

from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
POM = HERE / "pom.xml"

START_SECONDS = 60.0
STOP_SECONDS = 15.0
OLDEST_JAVA = 17

REMEDY = "`apt-get install openjdk-17-jre-headless maven`, or set STREAM_AL_TEST_KAFKA=host:port"

# Clients that reconnect to a dead broker's port would, within the kernel's range of ephemeral ports (32768 and up on
# Linux), now and then be given that very port and connect to themselves: the broker could not come back to it.
PORTS = range(14_000, 32_000)

# Runs the command in its own place (same process id), and has the kernel kill it when this Python dies, even of a
# SIGKILL. A preexec_fn would do the same, but warns from Python 3.12 on where the process has threads.
DIES_WITH_PARENT = """
import os, sys
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
except (OSError, AttributeError):
    pass  # not Linux
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""

JVM = (
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)

PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.quorum.bootstrap.servers": "127.0.0.1:{controller_port}",
    "controller.listener.names": "CONTROLLER",
    "listeners": "PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
    "listener.security.protocol.map": (
        "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL"
    ),
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "num.network.threads": "2",
    "num.io.threads": "4",
    # One node: nothing can be replicated. Few partitions: each costs two files and a load at the start.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "8",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # Tests kill consumers and producers, and wait for the broker to notice.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "3000",
    # A killed broker is let back in only when its former session has run out (9 s by default).
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # A topic with cleanup.policy=compact, min.cleanable.dirty.ratio=0.001 and a small segment.ms is compacted within
    # a second or two of the append that rolls its segment.
    "log.cleaner.enable": "true",
    "log.cleaner.backoff.ms": "200",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "1000",
    "log.segment.delete.delay.ms": "1000",
}


class KafkaMissingError(RuntimeError):
    """No broker can be had here; the message is one sentence with the remedy."""


class BrokerError(RuntimeError):
    """The broker did not start; the message ends with the tail of its log."""


def kafka_version() -> str:
    """The version of Kafka that ``pom.xml`` pins."""
    found = ElementTree.parse(POM).getroot().findtext("{*}properties/{*}kafka.version")
    if found is None:
        raise KafkaMissingError(f"{POM} has no property kafka.version")
    return found


def jars_folder() -> Path:
    """Where the jars are kept; it exists only when it is complete."""
    venv = PROJECT / ".venv"
    cache = venv if venv.is_dir() else Path.home() / ".cache" / "stream_al"
    return cache / f"kafka-{kafka_version()}"


def java() -> str:
    """The command of a Java that is new enough.

    Raises
    ------
    KafkaMissingError
        If there is none, or an older one.
    """
    home = os.environ.get("JAVA_HOME")
    command = (shutil.which("java", path=f"{home}/bin") if home else None) or shutil.which("java")
    if command is None:
        raise KafkaMissingError(
            f"A broker needs Java {OLDEST_JAVA} or newer and no `java` is found: {REMEDY}."
        )
    major = _java_major(command)
    if major < OLDEST_JAVA:
        raise KafkaMissingError(
            f"A broker needs Java {OLDEST_JAVA} or newer and {command} is {major}: {REMEDY}."
        )
    return command


@functools.cache
def _java_major(command: str) -> int:
    said = subprocess.run([command, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else 0


def jars() -> Path:
    """The folder with Kafka's jars, fetched with Maven the first time, once for all processes.

    Raises
    ------
    KafkaMissingError
        If Maven is missing or cannot resolve them.
    """
    folder = jars_folder()
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(folder.name + ".lock")):
        if not folder.is_dir():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaMissingError(f"Kafka's jars are fetched with Maven and no `mvn` is found: {REMEDY}.")
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as scratch:
        whole = Path(scratch) / "jars"
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={whole}"]
        ran = subprocess.run(
            [maven, "-q", "-B", "-f", str(POM), *goal], capture_output=True, text=True, check=False
        )
        if ran.returncode != 0:
            first = next((line for line in ran.stdout.splitlines() if "ERROR" in line), "it said nothing")
            raise KafkaMissingError(
                f"Maven cannot resolve Kafka {kafka_version()} ({first[:300]}): {REMEDY}."
            )
        whole.rename(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def why_missing() -> str | None:
    """In one sentence what is missing for a broker and how to get it; None if one can start. Fetches the jars."""
    try:
        java()
        jars()
    except KafkaMissingError as missing:
        return str(missing)
    return None


def free_ports(count: int) -> list[int]:
    """Different ports of this machine that nobody listens on, below the range the kernel hands to clients."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        if len(found) == count:
            break
        with closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    return found


def answers(bootstrap: str, client: Mapping[str, object]) -> bool:
    """Whether the cluster takes a client so configured and names a broker: its controller has let one in.

    kafka-python 3.0.12 leaves the thread and the sockets of a client behind whose constructor fails, so what is closed
    here is the part of it that has them, which the constructor lets its caller make.
    """
    made: list[KafkaNetClient] = []

    def connections(**config: object) -> KafkaNetClient:
        made.append(KafkaNetClient(**config))
        return made[-1]

    host, _, port = bootstrap.rpartition(":")
    try:
        # It leaves the socket of each refused connection open too: knock first.
        socket.create_connection((host, int(port)), timeout=1).close()
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap, bootstrap_timeout_ms=2000, kafka_client=connections, **client
        )
        return bool(admin.describe_cluster()["brokers"])
    except (OSError, KafkaError):
        return False
    finally:
        for part in made:
            part.close()


class Broker:
    """One Kafka node, broker and controller, on 127.0.0.1, with its data in a folder of the caller's.

    The java process dies with this Python process, even if that is SIGKILLed (on Linux). The kernel takes the thread
    that called ``start`` for the parent: call it from one that lives as long as the broker shall.

    Parameters
    ----------
    folder
        Where its configuration (``server.properties``), log (``server.log``) and data go; made if it does not exist.
    properties
        Server properties that replace or extend `PROPERTIES`. In their values ``{port}``, ``{second_port}`` and
        ``{controller_port}`` stand for this broker's ports, ``{folder}`` for its folder.
    scram
        Users and their passwords, known to SCRAM-SHA-256 and SCRAM-SHA-512 from the first start on. Neither may contain
        a comma or a double quote, which Kafka's format command cannot take.
    client
        What a kafka-python client needs besides ``bootstrap_servers`` to talk to ``bootstrap``, such as
        ``sasl_mechanism``; needed only where ``listeners`` has no PLAINTEXT on ``{port}``.

    Examples
    --------
    >>> with Broker(folder) as broker:  # doctest: +SKIP
    ...     KafkaProducer(bootstrap_servers=broker.bootstrap)

    A second listener, for which clients must log in:

    >>> listeners = "PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{second_port}"
    >>> secure = {
    ...     "listeners": listeners + ",CONTROLLER://127.0.0.1:{controller_port}",
    ...     "sasl.enabled.mechanisms": "SCRAM-SHA-256",
    ...     "listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config": (
    ...         "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ...     ),
    ... }
    >>> broker = Broker(folder, properties=secure, scram={"ann": "secret"})  # doctest: +SKIP
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        properties: Mapping[str, str] | None = None,
        scram: Mapping[str, str] | None = None,
        client: Mapping[str, object] | None = None,
    ) -> None:
        self.folder = Path(folder).resolve()
        self.port, self.second_port, self.controller_port = free_ports(3)
        self._properties = {**PROPERTIES, "log.dirs": "{folder}/data", **(properties or {})}
        self._scram = dict(scram or {})
        self._client = dict(client or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """What clients call ``bootstrap_servers``: the first listener."""
        return f"127.0.0.1:{self.port}"

    @property
    def second_bootstrap(self) -> str:
        """The same of a listener on ``{second_port}``, if the properties have one."""
        return f"127.0.0.1:{self.second_port}"

    @property
    def log(self) -> Path:
        """The file with what the broker said: warnings and worse."""
        return self.folder / "server.log"

    @property
    def pid(self) -> int | None:
        """The id of the java process, while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start the broker and wait until it answers; does nothing if it runs.

        Raises
        ------
        KafkaMissingError
            If Java or the jars cannot be had.
        BrokerError
            If it ends, or does not answer within `START_SECONDS`.
        """
        if self.pid is not None:
            return
        self._configure()
        self._process = self._run("kafka.Kafka", str(self._configuration))
        try:
            self._wait_until_it_answers(time.monotonic() + START_SECONDS)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End the broker in order (SIGTERM), by force if that takes too long; does nothing if it is down."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End the broker as a power cut would (SIGKILL); its data stay. Does nothing if it is down."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def restart(self) -> None:
        """Start the broker again, on the same ports and data, after ``stop``, ``kill`` or neither."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _configuration(self) -> Path:
        return self.folder / "server.properties"

    def _filled(self, value: str) -> str:
        # Not str.format: a JAAS configuration may have braces of its own.
        places = {
            "{port}": self.port,
            "{second_port}": self.second_port,
            "{controller_port}": self.controller_port,
            "{folder}": self.folder,
        }
        for place, filling in places.items():
            value = value.replace(place, str(filling))
        return value

    def _configure(self) -> None:
        """Write the properties and, the first time, format the data folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}={self._filled(value)}\n" for name, value in self._properties.items()]
        self._configuration.write_text("".join(lines).replace("\\", "\\\\"), encoding="utf-8")
        formatted = self.folder / "formatted"
        if formatted.exists():
            return
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        arguments = ["format", "--standalone", "--cluster-id", cluster, "--config", str(self._configuration)]
        for user, password in self._scram.items():
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                arguments += ["--add-scram", f'{mechanism}=[name="{user}",password="{password}"]']
        if self._run("kafka.tools.StorageTool", *arguments).wait() != 0:
            raise BrokerError(f"The broker's data folder cannot be formatted: {self._tail()}")
        formatted.touch()

    def _run(self, main: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [java(), *JVM, "-cp", f"{jars()}/*", main, *arguments]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-IS", "-c", DIES_WITH_PARENT, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # a Ctrl-C is for the tests; they stop the broker
            )

    def _wait_until_it_answers(self, deadline: float) -> None:
        assert self._process is not None
        while not answers(self.bootstrap, self._client):
            if time.monotonic() > deadline:
                raise BrokerError(f"The broker does not answer after {START_SECONDS:g} s: {self._tail()}")
            try:
                code = self._process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise BrokerError(f"The broker ended with {code}: {self._tail()}")

    def _tail(self, lines: int = 30) -> str:
        said = (
            self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        )
        return "\n".join([f"the end of {self.log}:", *said[-lines:]])
