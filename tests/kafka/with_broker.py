"""Runs a command with a real Kafka broker of its own, which is gone when the command is done.

    python tests/kafka/with_broker.py [--keep] stream-al demo --kafka {bootstrap}

``{bootstrap}`` in the command stands for the broker's address; its data are in a temporary folder. With ``--keep``,
and on a terminal, it runs on until Enter is pressed, so that one can look at the topics. The exit code is the
command's; 3 when no broker can be had here.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
from types import FrameType

from broker import Broker, BrokerError, KafkaMissingError


def run(command: list[str], *, keep: bool = False) -> int:
    """Return the exit code of a command that was run beside a broker."""
    with tempfile.TemporaryDirectory(prefix="stream-al-kafka-") as folder, Broker(folder) as broker:
        filled = [word.replace("{bootstrap}", broker.bootstrap) for word in command]
        # A Ctrl-C reaches the command by itself; the broker must outlive it, so that it can tidy up.
        before = signal.signal(signal.SIGINT, lambda number, frame: None)
        try:
            process = subprocess.Popen(filled)

            def pass_on(number: int, frame: FrameType | None) -> None:
                process.send_signal(number)

            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, pass_on)
            code = process.wait()
        finally:
            signal.signal(signal.SIGINT, before)
        if keep and sys.stdin.isatty():
            with contextlib.suppress(KeyboardInterrupt, EOFError):
                input(f"\nThe broker at {broker.bootstrap} runs on; press Enter to stop it. ")
    return code if code >= 0 else 128 - code


def main() -> int:
    """Run the command line."""
    keep = sys.argv[1:2] == ["--keep"]
    command = sys.argv[1 + keep :]
    if not command:
        sys.stderr.write(
            f"usage: {sys.argv[0]} [--keep] COMMAND...  ({{bootstrap}} stands for the address)\n"
        )
        return 2
    try:
        return run(command, keep=keep)
    except (KafkaMissingError, BrokerError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 3
    except FileNotFoundError as error:
        sys.stderr.write(f"error: {error.filename}: there is no such command\n")
        return 127


if __name__ == "__main__":
    sys.exit(main())
