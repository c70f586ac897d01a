"""What keeps secrets out of kafka-python's logs.

At DEBUG it writes the admin client's configuration, every request, and every byte sent: a PLAIN login is
the password in clear text, an OAUTHBEARER login is the token.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Final

LOGGERS: Final = (
    "kafka.admin.client",
    "kafka.net.connection",
    "kafka.net.sasl.oauth",
    "kafka.net.transport",
    "kafka.protocol.parser",
)
"""The loggers that are given configurations, requests or bytes. A filter is not inherited: each needs it."""

_installing = threading.Lock()


class Hidden(str):
    """A secret that a configuration printed whole does not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'**********'"


class _Hush(logging.Filter):
    """Replaces bytes, and what is said during a login, by what kind of thing it is."""

    def filter(self, record: logging.LogRecord) -> bool:
        arguments = record.args
        if isinstance(arguments, Mapping):
            # logging unpacks a lone dictionary: kafka-python's own configuration, whose secrets are `Hidden`.
            record.args = {key: _shown(value) for key, value in arguments.items()}
        elif arguments:
            record.args = tuple(_shown(argument) for argument in arguments)
        return True


def _shown(argument: object) -> object:
    if isinstance(argument, bytes | bytearray | memoryview):
        return f"<{len(argument)} bytes>"
    if type(argument).__name__.startswith("Sasl") and not isinstance(argument, Exception):
        return f"<{type(argument).__name__}>"
    return argument


def hush() -> None:
    """Have kafka-python log no secrets, at any level. Doing so again changes nothing."""
    with _installing:
        for name in LOGGERS:
            logger = logging.getLogger(name)
            if not any(isinstance(present, _Hush) for present in logger.filters):
                logger.addFilter(_Hush())
