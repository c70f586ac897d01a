"""The errors stream_al raises, as one tree.

::

    StreamALError
    ├── RecordError     a record that cannot be used; a worker turns it into a dead letter
    ├── ConfigError     a configuration that cannot be run
    ├── ModelError      an estimator that cannot be used
    │   └── SnapshotError   a snapshot that must not or cannot be loaded; refold from the log instead
    ├── SourceError     an input that cannot be read any further
    │   ├── BrokerError     a Kafka broker that cannot be reached; trying again later can help
    │   └── ServiceError    a service over HTTP that cannot be reached; trying again later can help
    └── StoreError      a store that cannot be opened, read or committed to
        └── StoreBusyError  somebody else holds it; trying again later can help

Each message names the thing, what is wrong with it, and what to do.
"""

from __future__ import annotations


class StreamALError(Exception):
    """Whatever stream_al raises on purpose.

    Attributes
    ----------
    retriable
        Whether the same call may succeed later without anybody changing anything.
    exit_code
        What the command line exits with when this error ends it.
    """

    retriable: bool = False
    exit_code: int = 1


class RecordError(StreamALError):
    """A record that cannot be used.

    Parameters
    ----------
    reason
        A short fixed word for counting, for example ``"malformed-json"``.
    detail
        A sentence for people: the field, what is wrong with it, the remedy.
    event_id
        The id of the event concerned, where the record still tells it.
    """

    def __init__(self, reason: str, detail: str, event_id: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.event_id = event_id


class ConfigError(StreamALError):
    """A configuration that cannot be run; the message names file, key, value and what is allowed."""

    exit_code = 2


class ModelError(StreamALError):
    """An estimator that cannot be used as a model: not a classifier, without a seed, and so on."""

    exit_code = 2


class SnapshotError(ModelError):
    """A snapshot that is corrupt, foreign or not allowed to be loaded; nothing of it was executed."""

    exit_code = 3


class SourceError(StreamALError):
    """An input that cannot be read any further: missing, shortened, not what its name says."""

    exit_code = 3


class BrokerError(SourceError):
    """A Kafka broker that cannot be reached, or does not answer in time."""

    retriable = True
    exit_code = 4


class ServiceError(SourceError):
    """A service over HTTP that cannot be reached, or asks for patience."""

    retriable = True
    exit_code = 4


class StoreError(StreamALError):
    """A store that cannot be opened, read or committed to. It is left as it was."""

    exit_code = 3


class StoreBusyError(StoreError):
    """A store that another process holds."""

    retriable = True
    exit_code = 4
