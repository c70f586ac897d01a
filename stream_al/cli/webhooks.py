"""``stream-al webhooks``, and what `stream-al run` does to send them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stream_al.config import Config

webhooks_app = typer.Typer(
    name="webhooks",
    no_args_is_help=True,
    help="Try the server that [webhooks] names.",
)


def sending(config: Config, name: str, tell: Callable[[str], None]) -> AbstractContextManager[object]:
    """Return a context in which messages about what is committed are sent, if the configuration wants any.

    Parameters
    ----------
    config
        The configuration; its store must have been made when the context is entered.
    name
        What errors call the configuration.
    tell
        Called with a sentence when something fails.

    Raises
    ------
    ConfigError
        When there is no secret.
    """
    if config.webhooks.url is None:
        return nullcontext()
    from connectors.sqlite.outbox import SqliteOutbox
    from connectors.webhooks import Endpoint, Sender

    # What can never happen need not be looked for.
    possible = {
        "label": True,
        "drift": bool(config.drift.watch),
        "budget-spent": config.limits.active(),
        "quarantine": config.guard.active(),
        "distrust": config.labels.agreement == "weighted" or bool(config.gold.questions),
    }
    kinds = [kind for kind in config.webhooks.events if possible[kind]]
    endpoint = Endpoint(config.webhooks.url, config.webhooks.keys(name))
    return Sender(
        lambda: SqliteOutbox(config.store.path, kinds),
        endpoint,
        config.webhooks.give_up_after.total_seconds(),
        tell,
    )


@webhooks_app.command("test")
def test_command(
    config: Annotated[Path, typer.Argument(help="The TOML file with [webhooks].", show_default=False)],
) -> None:
    """Send a signed sample, once, and tell how the server answers. Exits with 1 when it does not take it.

    Example: stream-al webhooks test pipeline.toml
    """
    import msgspec

    from connectors.webhooks import Endpoint
    from stream_al.config import load_config

    settings = load_config(config).webhooks
    keys = settings.keys(str(config))
    assert settings.url is not None  # or there would be no keys
    sample = {"type": "test", "timestamp": datetime.now(UTC), "data": {"sent_by": "stream-al webhooks test"}}
    began = time.monotonic()
    message_id = f"msg_{token_hex(16)}"
    reply = Endpoint(settings.url, keys).post(message_id, msgspec.json.encode(sample))
    took = (time.monotonic() - began) * 1000
    if reply.error:
        typer.echo(f"{settings.url}: {reply.error} ({took:,.0f} ms); it did not take {message_id}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{settings.url}: HTTP {reply.status} ({took:,.0f} ms); it took {message_id}")
