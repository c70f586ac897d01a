"""The command line, ``stream-al``."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

from stream_al.errors import StreamALError

try:
    import typer
except ImportError:  # pragma: no cover - depends on how it was installed
    sys.exit("the command line needs the `cli` extra: pip install 'stream-al[cli]'")

from stream_al.cli.amend import amend_command, erase_command
from stream_al.cli.counterfactual import counterfactual_command
from stream_al.cli.demo import demo_command
from stream_al.cli.init import init_command
from stream_al.cli.label_studio import label_studio_command
from stream_al.cli.oracle import oracle_command
from stream_al.cli.people import people_app
from stream_al.cli.probe import probe_command
from stream_al.cli.replay import replay_command
from stream_al.cli.representatives import representatives_command
from stream_al.cli.run import run_command
from stream_al.cli.status import status_command, verify_command
from stream_al.cli.topics import topics_app
from stream_al.cli.tune import tune_command
from stream_al.cli.webhooks import webhooks_app

app = typer.Typer(
    name="stream-al",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Online active learning on streams: a model answers every event at once and asks people about the few "
        "that teach it most.\n\n"
        "Start with [bold]stream-al demo[/bold]; then [bold]init[/bold] a configuration, [bold]run[/bold] it, "
        "and [bold]label[/bold] in another terminal. On Kafka, [bold]topics create[/bold] comes before "
        "[bold]run[/bold].\n\n"
        "Exit codes: 0 fine; 1 verify, topics or webhooks found something wrong, or an amendment would change nothing; "
        "2 wrong usage or configuration; "
        "3 an input or a store cannot be used; 4 a store is in use or no broker answers, try again later."
    ),
)


def _version(wanted: bool) -> None:
    if wanted:
        from stream_al import __version__

        typer.echo(f"stream_al {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def label_command(
    store: Annotated[Path, typer.Argument(help="The pipeline's SQLite file.", show_default=False)],
    annotator: Annotated[
        str,
        typer.Option(
            "--as", help="Your name; quorum and corrections go by it.", envvar="STREAM_AL_ANNOTATOR"
        ),
    ] = "",
    show_prediction: Annotated[
        str, typer.Option(help="When to show the model's own answer: never, after or before yours.")
    ] = "after",
    undo: Annotated[int, typer.Option(min=0, help="How many answers can be taken back.")] = 10,
) -> None:
    """Answer the open queries of a store, most valuable first, one key an answer.

    Example: stream-al label pipeline.db --as ann
    """
    from stream_al.cli.label import label_command as label

    raise typer.Exit(label(store, annotator or getpass.getuser(), show_prediction, undo))


def annotate_command(
    target: Annotated[
        Path,
        typer.Argument(help="The pipeline's SQLite file, or its configuration (.toml).", show_default=False),
    ],
    annotator: Annotated[
        str,
        typer.Option("--as", help="Your name, where nobody logs in.", envvar="STREAM_AL_ANNOTATOR"),
    ] = "",
    host: Annotated[
        str,
        typer.Option(help="The address to listen on; on any but this machine's own everybody must log in."),
    ] = "localhost",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8642,
    show_prediction: Annotated[
        str, typer.Option(help="When to show the model's own answer: never, after or before an annotator's.")
    ] = "after",
    guideline: Annotated[
        Path | None,
        typer.Option(help="A text file that says how to label; key h shows it.", show_default=False),
    ] = None,
    cert_file: Annotated[
        Path | None,
        typer.Option(
            help="A certificate in PEM format, with those that signed it: the page then speaks HTTPS.",
            show_default=False,
        ),
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="The certificate's key in PEM format.", show_default=False)
    ] = None,
    oidc_issuer: Annotated[
        str | None,
        typer.Option(
            help="An OpenID provider (https://…) that vouches for people by their e-mail address; all must log in then.",
            show_default=False,
        ),
    ] = None,
    oidc_client_id: Annotated[
        str | None,
        typer.Option(
            help="What the provider calls this page; its secret is read from STREAM_AL_OIDC_CLIENT_SECRET.",
            show_default=False,
        ),
    ] = None,
    images_from: Annotated[
        list[str] | None,
        typer.Option(
            help="An origin that images may be loaded from (https://…); may be repeated.", show_default=False
        ),
    ] = None,
) -> None:
    """Answer the open queries of a store in the browser, one key an answer, by as many people as you like.

    On Kafka, too: [store] path is then a file of the page's own, for people, drafts and what is not sent yet.

    Example: stream-al annotate pipeline.toml
    """
    from stream_al.cli.annotate import annotate_command as annotate

    annotate(
        target,
        annotator or getpass.getuser(),
        host,
        port,
        show_prediction,
        guideline,
        images_from or [],
        (cert_file, key_file),
        (oidc_issuer, oidc_client_id),
    )


app.command("demo")(demo_command)
app.command("init")(init_command)
app.command("run")(run_command)
app.command("label")(label_command)
app.command("annotate")(annotate_command)
app.command("label-studio")(label_studio_command)
app.command("amend")(amend_command)
app.command("erase")(erase_command)
app.command("status")(status_command)
app.command("replay")(replay_command)
app.command("tune")(tune_command)
app.command("counterfactual")(counterfactual_command)
app.command("probe")(probe_command)
app.command("representatives")(representatives_command)
app.command("verify")(verify_command)
app.command("oracle")(oracle_command)
app.add_typer(people_app)
app.add_typer(topics_app)
app.add_typer(webhooks_app)


def main() -> None:
    """Run the command line; errors of ours become one line and an exit code."""
    try:
        app()
    except StreamALError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; that is no error
        raise SystemExit(0) from None


if __name__ == "__main__":
    main()
