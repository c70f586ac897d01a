"""The command line, ``stream-al``; see `stream_al.cli.app`."""


def main() -> None:
    """Run the command line."""
    from stream_al.cli.app import main

    main()
