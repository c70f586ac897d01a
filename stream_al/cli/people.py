"""``stream-al people``: who may use the annotator's page from other machines, and what everybody did."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_al.errors import ConfigError

if TYPE_CHECKING:
    from connectors.sqlite.people import SqlitePeople

people_app = typer.Typer(
    name="people",
    no_args_is_help=True,
    help="Give and take tokens for the annotator's page; export its audit log.",
)
StoreArgument = Annotated[
    Path, typer.Argument(help="The pipeline's SQLite file, or its configuration (.toml).", show_default=False)
]
NameArgument = Annotated[
    str, typer.Argument(help="Their name, which their answers bear.", show_default=False)
]
_BY = "the command line"


@people_app.command("add")
def add(
    target: StoreArgument,
    name: NameArgument,
    role: Annotated[
        str,
        typer.Option(help="owner: all, the audit log too; annotator: answers; viewer: only the dashboard."),
    ] = "annotator",
) -> None:
    """Give somebody a token, or a new one instead of theirs. It is shown once: only its hash is kept.

    Example: stream-al people add pipeline.db ann
    """
    people = _people(target)
    from stream_al.annotate.access import ROLES, Person, hashed, new_token
    from stream_al.records import MAX_NAME

    if role not in ROLES:
        raise ConfigError(f"--role {role}: must be one of {', '.join(ROLES)}")
    if not 0 < len(name) <= MAX_NAME or name != name.strip() or not name.isprintable():
        raise ConfigError(f"{name!r}: a name has 1 to {MAX_NAME} printable characters, no space around them")
    token = new_token()
    people.put(Person(name, role, hashed(token), time.time()), _BY)
    people.close()
    typer.echo(token)
    if role == "viewer":
        sys.stderr.write(f"a link that only shows the dashboard: /look?as={_quoted(name)}&token={token}\n")


@people_app.command("remove")
def remove(target: StoreArgument, name: NameArgument) -> None:
    """Take somebody's token away; who is logged in with it is logged out. Their answers stay.

    Example: stream-al people remove pipeline.db ann
    """
    people = _people(target)
    found = people.remove(name, _BY, time.time())
    people.close()
    if not found:
        raise ConfigError(f"{name!r}: has no token here; `stream-al people list` shows who has")


@people_app.command("list")
def show(target: StoreArgument) -> None:
    """Show who has a token.

    Example: stream-al people list pipeline.db
    """
    people = _people(target)
    for person in people.people():
        typer.echo(f"{person.role:<10} {person.name}")
    people.close()


@people_app.command("audit")
def audit(target: StoreArgument) -> None:
    """Print the audit log, a line of JSON each: who answered what, when, having seen what, changed by whom.

    Example: stream-al people audit pipeline.db > audit.jsonl
    """
    people = _people(target)
    for line in people.audit():
        typer.echo(json.dumps(line, ensure_ascii=False))
    people.close()


def _people(target: Path) -> SqlitePeople:
    from stream_al.cli.annotate import page_file

    try:
        from connectors.sqlite.people import SqlitePeople
    except ImportError as error:
        raise ConfigError("tokens need the `annotate` extra: pip install 'stream-al[annotate]'") from error
    return SqlitePeople(page_file(target))


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name)
