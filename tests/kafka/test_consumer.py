"""What every worker's consumers can be asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kafka.structs import TopicPartition
from pipelines import Pipeline

from connectors.kafka import client


@pytest.mark.usefixtures("each_client")
def test_offsets_are_told_of_a_topic_that_is_new_beside_one_that_is_not(
    make: Callable[..., Pipeline],
) -> None:
    pipeline = make()
    first, second, third = (
        TopicPartition(pipeline.topic(kind), 1) for kind in ("events", "labels", "queries")
    )
    with client.consumer(pipeline.kafka) as consumer:
        assert consumer.end_offsets([first]) == {first: 0}
        assert consumer.end_offsets([first, second]) == {first: 0, second: 0}
        assert consumer.beginning_offsets({first, third}) == {first: 0, third: 0}
        assert consumer.end_offsets([]) == {}
