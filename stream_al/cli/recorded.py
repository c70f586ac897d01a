"""Opening what a pipeline recorded: a store, or the topics that a configuration names."""

from __future__ import annotations

from pathlib import Path

from stream_al.recording import Recording


def open_recording(target: Path) -> Recording:
    """Read a pipeline's record.

    Parameters
    ----------
    target
        A store; or a configuration (``.toml``): its topics if it has a ``[kafka]`` section, else its store.

    Raises
    ------
    StreamALError
        When there is none, or it cannot be read.
    """
    from connectors.sqlite import read_recording
    from stream_al.cli.assemble import learner_of

    if target.suffix == ".toml":
        from stream_al.config import load_config

        config = load_config(target)
        if config.kafka is not None:
            from connectors.kafka.client import require_kafka

            require_kafka()
            from connectors.kafka.recording import read_recording as read_topics

            return read_topics(config, str(target))
        target = config.store.path
    return read_recording(target, lambda pipeline: learner_of(pipeline, target))
