"""``stream-al annotate``: the annotator's page of a store, or of a pipeline on Kafka with a file of the page's own."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from stream_al.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from stream_al.annotate.oidc import Provider
    from stream_al.annotate.server import Settings
    from stream_al.config import Config

_LOCAL: Final = ("localhost", "127.0.0.1", "[::1]")
_SECRET: Final = "STREAM_AL_OIDC_CLIENT_SECRET"
_IDLE: Final = 75
"""Seconds for which a connection is kept without a request: a page says that it is there every 45."""
_GRACE: Final = 3
"""Seconds that answers in hand are waited for at the end; the dashboard's streams never end by themselves."""


def annotate_command(
    target: Path,
    annotator: str,
    host: str,
    port: int,
    show_prediction: str,
    guideline: Path | None,
    images_from: list[str],
    certificate: tuple[Path | None, Path | None],
    oidc: tuple[str | None, str | None],
) -> None:
    """Serve the page until a signal ends it; by HTTPS with a certificate and its key.

    ``oidc`` is an OpenID provider's issuer and what it calls this page.

    Raises
    ------
    StreamALError
        When the store cannot be used, or an argument means nothing.
    """
    try:
        import uvicorn

        from stream_al.annotate.server import Settings
    except ImportError as error:
        raise ConfigError(
            "the annotator's page needs the `annotate` extra: pip install 'stream-al[annotate]'"
        ) from error
    if show_prediction not in ("never", "after", "before"):
        raise ConfigError(f"--show-prediction {show_prediction}: must be one of never, after, before")
    tls, provider = tls_files(*certificate), provider_of(*oidc)
    store = page_file(target)
    local = _is_loopback(host)
    alone = local and provider is None
    settings = Settings(
        store=hashlib.sha256(str(store.resolve()).encode()).hexdigest()[:12],
        title=store.stem,
        show_prediction=show_prediction,  # type: ignore[arg-type]
        guideline=_text(guideline),
        images=tuple(_origin(image) for image in images_from),
        hosts=_LOCAL if local else ("*",),
    )
    with _listening(host, port) as listener, _relayed(target):
        app = page_of(store, settings, annotator if alone else None, provider, secure=bool(tls))
        shown = "localhost" if local else host
        where = f"{'https' if tls else 'http'}://{f'[{shown}]' if ':' in shown else shown}:{listener.getsockname()[1]}/"
        sys.stderr.write(f"{where} answers queries of {target}; Ctrl-C ends it\n")
        if not (local or tls):
            sys.stderr.write(
                "note: tokens can be read on the way; give --cert-file and --key-file, or put it behind a proxy that "
                "speaks HTTPS\n"
            )
        sys.stderr.flush()
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                timeout_keep_alive=_IDLE,
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=_GRACE,
                server_header=False,
                **tls,
            )
        )
        server.run(sockets=[listener])


@contextmanager
def _relayed(target: Path) -> Iterator[None]:
    """Have a pipeline's topics and the page's file know of each other, where it runs on Kafka."""
    config = _configuration(target)
    if config is None or config.kafka is None:
        yield
        return
    from connectors.kafka.client import require_kafka

    require_kafka()
    from connectors.kafka.lookup import look_up
    from connectors.kafka.relay import TopicRelay
    from connectors.sqlite.relayed import RelayedStore

    topics, origin = look_up(config, str(target))
    with closing(RelayedStore(config.store.path, config.pipeline(), origin)) as store:
        relay = TopicRelay(config.kafka, topics, store)
        with closing(relay):
            relay.start()
            yield


def tls_files(certificate: Path | None, key: Path | None) -> dict[str, Any]:
    """Return what uvicorn speaks HTTPS with; nothing without a certificate.

    Raises
    ------
    ConfigError
        When one of the two is missing, or they are no certificate and its key.
    """
    if certificate is None and key is None:
        return {}
    if certificate is None or key is None:
        given, other = ("--key-file", "--cert-file") if certificate is None else ("--cert-file", "--key-file")
        raise ConfigError(f"{given}: needs {other}, too")
    for option, path in (("--cert-file", certificate), ("--key-file", key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise ConfigError(f"{option} {path}: {error.strerror}") from None
    try:
        # A password, though there is none: else OpenSSL would ask for that of an encrypted key on the terminal, and wait.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, "")
    except (ssl.SSLError, OSError, ValueError) as error:
        why = getattr(error, "reason", None) or type(error).__name__
        raise ConfigError(
            f"--cert-file {certificate}, --key-file {key}: not a certificate and its key in PEM format, the key without a "
            f"password ({why}); openssl pkey -in KEY -out PLAIN takes a password off"
        ) from None
    return {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}


def provider_of(issuer: str | None, client_id: str | None) -> Provider | None:
    """Return the OpenID provider that vouches for people, if one is named; its secret is read from the environment.

    Raises
    ------
    ConfigError
        When something is missing, or it does not answer as a provider.
    """
    if issuer is None and client_id is None:
        return None
    if issuer is None or client_id is None:
        given, other = (
            ("--oidc-client-id", "--oidc-issuer") if issuer is None else ("--oidc-issuer", "--oidc-client-id")
        )
        raise ConfigError(f"{given}: needs {other}, too")
    secret = os.environ.get(_SECRET, "")
    if not secret:
        raise ConfigError(
            f"--oidc-issuer {issuer}: set {_SECRET} to the secret that the provider gave this page"
        )
    try:
        from stream_al.annotate.oidc import Provider, check
    except ImportError as error:
        raise ConfigError("--oidc-issuer needs the `oidc` extra: pip install 'stream-al[oidc]'") from error
    provider = Provider(issuer, client_id, secret)
    check(provider)
    return provider


def page_of(
    store: Path,
    settings: Settings,
    alone: str | None,
    provider: Provider | None = None,
    *,
    secure: bool = False,
) -> Starlette:
    """Return the server of a store's page.

    Parameters
    ----------
    store
        The store's file.
    settings
        How the page is to be.
    alone
        The only annotator, where nobody logs in; None: everybody does.
    provider
        Who vouches for people, besides tokens.
    secure
        Whether it speaks HTTPS itself.

    Raises
    ------
    ConfigError
        When everybody must log in, and nobody can.
    """
    from connectors.sqlite.board import SqliteBoard
    from connectors.sqlite.figures import SqliteFigures
    from connectors.sqlite.people import SqlitePeople
    from stream_al.annotate.access import Access
    from stream_al.annotate.dashboard import Dashboard
    from stream_al.annotate.doors import doors
    from stream_al.annotate.server import Page, application

    board, people = SqliteBoard(store), SqlitePeople(store)
    if alone is None and not people.people():
        raise ConfigError(
            f"{store}: nobody has a token, and everybody must log in here. Give somebody one with `stream-al people add "
            f"{store} NAME --role owner`, or leave --host and --oidc-issuer away to work alone on this machine"
        )
    figures, log = SqliteFigures(store), SqlitePeople(store)  # each is used in a thread of its own
    access = Access(people, alone)
    dashboard = Dashboard(figures.read, log.audit, access, settings)
    page = Page(board, access, settings, closing=[figures.close, log.close, people.close])
    if provider is None:
        return application(page, [*doors(access), *dashboard.routes()])
    from stream_al.annotate.oidc import oidc_doors

    ways = doors(access, urlsplit(provider.issuer).netloc)
    by_provider = oidc_doors(access, provider, people.secret(), secure=secure)
    return application(page, [*ways, *by_provider, *dashboard.routes()])


def store_of(target: Path) -> Path:
    """Return the store that a path means: itself, or that of the configuration it is.

    Raises
    ------
    ConfigError
        When the configuration's pipeline runs on Kafka.
    StoreError
        When there is no such file.
    """
    config = _configuration(target)
    if config is None:
        return target
    if config.kafka is not None:
        raise ConfigError(
            f"{target}: this pipeline runs on Kafka, and has no store; while `stream-al annotate {target}` runs, name "
            f"the page's file, {config.store.path}"
        )
    return config.store.path


def page_file(target: Path) -> Path:
    """Return the file that a page answers from: a store, or, on Kafka, the page's own, which is made if need be."""
    config = _configuration(target)
    if config is None:
        return target
    if config.kafka is not None:
        from connectors.sqlite import connect

        connect(config.store.path, create=True).close()
    return config.store.path


def _configuration(target: Path) -> Config | None:
    """Return the configuration that a path means; None when it is a store."""
    if not target.is_file():
        raise StoreError(f"{target}: no such file; name a store or a configuration (.toml)")
    if target.suffix != ".toml":
        return None
    from stream_al.config import load_config

    return load_config(target)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family)
        # What is accepted inherits it. asyncio sets it only on sockets that were made with the protocol's number, and
        # without it the second part of every answer waits 40 ms for the first to be acknowledged.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        raise ConfigError(
            f"{host}:{port}: cannot be listened on ({error}); name another --host or --port"
        ) from error


def _text(guideline: Path | None) -> str:
    if guideline is None:
        return ""
    try:
        return guideline.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--guideline {guideline}: cannot be read as text ({error})") from error


def _origin(text: str) -> str:
    """Check an origin before it becomes part of a policy."""
    parts: Any = urlsplit(text)
    if (
        parts.scheme not in ("http", "https")
        or not parts.netloc
        or text != f"{parts.scheme}://{parts.netloc}"
    ):
        raise ConfigError(f"--images-from {text}: must be like https://images.example.org, without a path")
    if not all(c.isalnum() or c in "-.:[]" for c in parts.netloc):
        raise ConfigError(f"--images-from {text}: is no name of a host")
    return text
