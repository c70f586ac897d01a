"""Making a client, and telling why there is none.

kafka-python tries a refused login or an untrusted certificate again and again until its time is up, and then
says only that its time is up. `_Manager` ends that at once, and keeps the reason for what may still change.
It builds on parts of kafka-python that are not public, which is why `pyproject.toml` allows 3.0 only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import kafka.errors as ke
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from stream_al.config import KafkaConfig
from stream_al.errors import BrokerError, ConfigError, SourceError, StreamALError

_REFUSED = (ke.SaslAuthenticationFailedError, ke.UnsupportedSaslMechanismError)
_FOREIGN = (ke.InvalidReceiveError, ke.IllegalSaslStateError)


class _Manager(KafkaConnectionManager):  # type: ignore[misc]  # kafka-python has no types
    """Remembers why the first connection cannot be made, and gives up where trying again is no use."""

    def __init__(self, net: NetworkSelector, **configs: Any) -> None:
        super().__init__(net, **configs)
        self.starting = True
        self.failure: BaseException | None = None

    def get_connection(self, node_id: Any, **options: Any) -> Any:
        # Only while starting: later on a worker is right to be patient with a broker that forgot its users.
        if self.starting and self.failure is not None and _is_final(self.failure):
            raise self.failure
        connection = super().get_connection(node_id, **options)
        if self.starting:
            connection.init_future.add_errback(self._remember)
        return connection

    def _remember(self, error: BaseException) -> None:
        self.failure = error

    async def _build_transport(self, node: Any, **options: Any) -> Any:
        """Have the transport hand on what arrives together with the end of a connection.

        It would drop it: the words with which a broker refuses a login.
        """
        transport = await super()._build_transport(node, **options)
        receive = transport._sock_recv

        def received() -> tuple[bytes, Exception | None]:
            data, error = receive()
            return data, None if data else error  # the end is still there when one looks again

        transport._sock_recv = received
        return transport


def connected(kind: Callable[..., Any], config: KafkaConfig, settings: dict[str, Any]) -> Any:
    """Return a kafka-python client of a kind that has reached a broker.

    Raises
    ------
    BrokerError
        When none can be reached.
    ConfigError
        When a broker refuses the login, or its certificate is not trusted.
    """
    made: list[KafkaNetClient] = []

    def client(**configs: Any) -> KafkaNetClient:
        net = NetworkSelector(**configs)
        made.append(KafkaNetClient(net, _Manager(net, **configs), **configs))
        return made[0]

    try:
        result = kind(kafka_client=client, **settings)
    except BaseException as error:
        # A constructor that fails leaves its thread and sockets behind.
        for unused in made:
            unused.close()
        if not isinstance(error, ke.KafkaError | StreamALError):
            raise
        failure = made[0]._manager.failure if made and isinstance(error, ke.KafkaTimeoutError) else None
        raise explained(config, failure or error) from None
    made[0]._manager.starting = False
    return result


@contextmanager
def reaching(config: KafkaConfig, doing: str) -> Iterator[None]:
    """Turn kafka-python's errors within into ours; ``doing`` completes "while …".

    Raises
    ------
    BrokerError
        For whatever may succeed later.
    ConfigError
        For a login or an authorization refused.
    SourceError
        For the rest.
    """
    try:
        yield
    except ke.KafkaError as error:
        told = explained(config, error)
        raise type(told)(f"{told} (while {doing})") from error


def explained(config: KafkaConfig, error: BaseException) -> StreamALError:
    """Return an error of ours that says what kafka-python's means here, and what to do."""
    if isinstance(error, StreamALError):
        return error
    said, who = _said(error), f"{config.username!r}" if config.username else "this client"
    if isinstance(error, ke.SaslAuthenticationFailedError):
        if config.mechanism == "OAUTHBEARER":
            where = "token_file" if config.token_url is None else "token_url"
            return ConfigError(
                f"[kafka] {where}: {config.bootstrap} refuses the token, sent by OAUTHBEARER ({said}); check its "
                "issuer, audience and expiry against what the broker wants"
            )
        return ConfigError(
            f"[kafka] username, password: {config.bootstrap} refuses the login of {who} by {config.mechanism}; "
            "check both, and that the user is known for that mechanism"
        )
    if isinstance(error, _REFUSED):
        return ConfigError(
            f"[kafka] mechanism = {config.mechanism!r}: {config.bootstrap} does not offer it on this listener; "
            "check the broker's sasl.enabled.mechanisms"
        )
    if isinstance(error, ke.AuthorizationError):
        return ConfigError(f"{config.bootstrap}: {who} may not do this ({said}); grant it with kafka-acls")
    if "certificate verify failed" in said:
        key = "check_hostname" if "ostname mismatch" in said or "IP address mismatch" in said else "ca_file"
        return ConfigError(
            f"[kafka] {key}: the certificate of {config.bootstrap} is not trusted ({said}); ca_file must hold "
            "the certificate of who signed it, and bootstrap use a name that it is made out to"
        )
    if _is_foreign(error):
        return ConfigError(
            f"[kafka] protocol = {config.protocol!r}: {config.bootstrap} speaks something else ({said}); it must "
            "be the protocol of the broker's listener there: SASL_… if that wants logins, …SSL if it wants TLS"
        )
    if _is_patient(error):
        return BrokerError(
            f"no Kafka broker answers at {config.bootstrap} ({said}); check [kafka] bootstrap, that the "
            "broker runs, that it advertises an address that can be reached from here, and that "
            f"protocol = {config.protocol!r} is what it speaks there"
        )
    return SourceError(f"{config.bootstrap}: Kafka refuses: {said}")


def _is_final(error: BaseException) -> bool:
    if isinstance(error, StreamALError):
        return not error.retriable
    return isinstance(error, _REFUSED) or _is_foreign(error) or "certificate verify failed" in str(error)


def _is_foreign(error: BaseException) -> bool:
    return isinstance(error, _FOREIGN) or "WRONG_VERSION_NUMBER" in str(error)


def _is_patient(error: BaseException) -> bool:
    kinds = (ke.KafkaTimeoutError, ke.KafkaConnectionError)
    return isinstance(error, kinds) or bool(getattr(error, "retriable", False)) or isinstance(error, OSError)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
