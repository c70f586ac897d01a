"""Accuracy of all events from the labelled few: what is counted, up to where, and what is admitted not to be known."""

from __future__ import annotations

import random
from itertools import product
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import estimator, rows

from stream_al import (
    Accuracy,
    ActiveLearner,
    Budgeted,
    ColdStart,
    DeskRules,
    Label,
    LeastConfidence,
    Margin,
    Model,
)
from stream_al.codec import EventRow, PredictionRow
from stream_al.draws import Draws
from stream_al.monitor.accuracy import PATIENCE
from stream_al.ports import LabelledRow

# An event: confidence, propensity, asked (if it can be), right, answered.
events = st.tuples(
    st.sampled_from([0.0, 0.4, 0.6, 0.9, 1.0]),
    st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
streams = st.lists(events, min_size=1, max_size=40)
Stream = list[tuple[float, float, bool, bool, bool]]


def is_asked(propensity: float, wanted: bool) -> bool:
    return propensity == 1.0 or (propensity > 0.0 and wanted)


def asked_all(stream: Stream, window: int = 20_000) -> Accuracy:
    watch = Accuracy(window)
    for number, (confidence, propensity, wanted, _, _) in enumerate(stream):
        name = f"e{number}" if is_asked(propensity, wanted) else None
        watch.pass_by(number, "a" if confidence else None, confidence, propensity, name)
    return watch


def settle(watch: Accuracy, stream: Stream, number: int, missing: bool | None = None) -> None:
    """Answer one query; an unanswered one stays so, or is right or wrong as ``missing`` says."""
    _, propensity, wanted, right, answered = stream[number]
    if is_asked(propensity, wanted):
        told = right if answered else missing
        watch.settle(f"e{number}", None if told is None else "a" if told else "b")


@given(streams, st.randoms(use_true_random=False))
def test_the_order_in_which_answers_come_does_not_matter(stream: Stream, rng: random.Random) -> None:
    one, other = asked_all(stream), asked_all(stream)
    order = list(range(len(stream)))
    for number in order:
        settle(one, stream, number)
    rng.shuffle(order)
    for number in order:
        settle(other, stream, number)
    found, same = one.report(len(stream)), other.report(len(stream))
    assert found == same
    assert found.whole.events == len(stream)


@given(streams)
def test_the_interval_allows_for_every_way_the_unanswered_could_have_been_answered(stream: Stream) -> None:
    watch = asked_all(stream)
    for number in range(len(stream)):
        settle(watch, stream, number)
    found = watch.whole(len(stream)).estimate()
    for missing in (True, False):
        completed = asked_all(stream)
        for number in range(len(stream)):
            settle(completed, stream, number, missing)
        full = completed.whole(len(stream)).estimate()
        assert found.low <= full.low + 1e-9
        assert found.high >= full.high - 1e-9


@given(streams)
def test_a_stream_asked_about_with_certainty_is_known_exactly(stream: Stream) -> None:
    certain = [(confidence, 1.0, True, right, True) for confidence, _, _, right, _ in stream]
    watch = asked_all(certain)
    for number in range(len(certain)):
        settle(watch, certain, number)
    report = watch.report(len(certain))
    # Without a class there was no answer, and so no right one.
    right = sum(right and confidence > 0.0 for confidence, _, _, right, _ in certain) / len(certain)
    for estimate in (report.whole, report.recent):
        assert estimate.why_not is None
        for value in (estimate.accuracy, estimate.low, estimate.high, estimate.weighted):
            assert value is not None
            assert isclose(value, right, abs_tol=1e-9)
    for found in report.classes:
        for value, low, high in (
            (found.precision, found.precision_low, found.precision_high),
            (found.recall, found.recall_low, found.recall_high),
        ):
            assert value is None or (isclose(low, value, abs_tol=1e-9) and isclose(high, value, abs_tol=1e-9))
    assert sum(count for _, _, count in report.matrix) == pytest.approx(len(certain))


@given(streams, streams, st.integers(2, 30))
def test_a_dump_in_the_middle_changes_nothing(before: Stream, after: Stream, window: int) -> None:
    stream = before + after
    one, other = asked_all(before, window), asked_all(before, window)
    for number in range(0, len(before), 2):
        settle(one, stream, number)
        settle(other, stream, number)
    other = Accuracy.load(other.dump())
    for watch in (one, other):
        for number in range(len(before), len(stream)):
            confidence, propensity, wanted, _, _ = stream[number]
            name = f"e{number}" if is_asked(propensity, wanted) else None
            watch.pass_by(number, "a", confidence, propensity, name)
        for number in [*range(1, len(before), 2), *range(len(before), len(stream))]:
            settle(watch, stream, number)
    assert other.dump() == one.dump()
    assert other.report(len(stream)) == one.report(len(stream))


def test_the_horizon_is_before_the_oldest_open_query() -> None:
    watch = Accuracy()
    for number in range(100):
        watch.pass_by(
            number, "a", 0.9, 1.0 if number % 10 == 5 else 0.02, f"e{number}" if number % 10 == 5 else None
        )
    for number in (5, 15, 35, 45):
        watch.settle(f"e{number}", "a")
    assert watch.whole(100).events == 25  # event 25 is not answered; those before are settled
    watch.settle("e25", "b")
    assert watch.whole(100).events == 55
    assert watch.whole(100).labels == 5
    for number in (55, 65, 75, 85, 95):
        watch.settle(f"e{number}", None)
    found = watch.whole(100).estimate()
    assert (found.events, found.labels, found.unanswered) == (100, 5, 5)


def test_an_old_query_holds_up_so_many_newer_ones_and_no_more() -> None:
    watch = Accuracy()
    for number in range(PATIENCE + 1):
        watch.pass_by(number, "a", 0.9, 1.0, f"e{number}")
        if number:
            watch.settle(f"e{number}", "a")
    whole = watch.whole(PATIENCE + 1).estimate()
    assert (whole.events, whole.unanswered) == (PATIENCE + 1, 1)
    assert whole.high - whole.low == pytest.approx(1 / (PATIENCE + 1))
    watch.settle("e0", "a")  # too late for this
    assert watch.whole(PATIENCE + 1).estimate() == whole
    assert len(watch.dump()) < 10_000


def test_an_event_asked_about_again_before_its_first_query_is_counted_is_counted_twice() -> None:
    watch = Accuracy()
    for number, name in enumerate(("old", "twice", "twice")):
        watch.pass_by(number, "a", 0.9, 0.5, name)
        if name == "twice":
            watch.settle(name, "a" if number == 1 else "b")
    assert watch.whole(3).labels == 0  # the oldest is open
    watch = Accuracy.load(watch.dump())
    watch.settle("old", "a")
    assert (watch.whole(3).labels, watch.whole(3).wrong) == (3, 1)


def test_recent_is_of_the_last_half_to_whole_window() -> None:
    watch = Accuracy(window=100)
    for number in range(1000):
        watch.pass_by(number, "a", 0.9, 1.0, f"e{number}")
        watch.settle(f"e{number}", "a" if number < 900 else "b")
        assert min(number + 1, 50) <= watch.recent(number + 1).events <= 100
    assert watch.recent(1000).estimate().accuracy == 0.0
    assert watch.whole(1000).estimate().accuracy == pytest.approx(0.9)


@pytest.mark.parametrize("strategy", [Margin(0.2), LeastConfidence(0.7)])
def test_a_threshold_without_exploration_gets_a_sentence_and_no_number(strategy: Margin) -> None:
    stream = rows(600)
    learner = ActiveLearner(Model(estimator()), ColdStart(strategy, examples=20))
    play(learner, stream)
    assert learner.accuracy is not None
    report = learner.accuracy.report(learner.events)
    assert report.whole.accuracy is report.whole.weighted is None
    assert report.classes == report.matrix == []
    assert report.whole.why_not is not None
    assert "had no chance of being asked about" in report.whole.why_not
    assert "explore" in report.whole.why_not
    assert report.whole.high - report.whole.low > report.whole.unseen / report.whole.events - 1e-9


def test_before_any_answer_it_says_so() -> None:
    found = Accuracy().report(0).whole
    assert (found.accuracy, found.low, found.high) == (None, 0.0, 1.0)
    assert found.why_not == "no query of these events has been answered yet; answer some"


def test_a_window_must_be_a_window() -> None:
    with pytest.raises(ValueError, match="window = 1: must be at least 2 events"):
        Accuracy(1)


# ── in the learner ───────────────────────────────────────────────────────────────────────────────


def play(
    learner: ActiveLearner, stream: list[LabelledRow], delay: int = 30, run: int = 1
) -> list[PredictionRow]:
    """Answer events, ``run`` at a time, and each query after so many further events."""
    truths = {str(row.id): row.truth for row in stream}
    waiting: list[tuple[int, str]] = []
    predictions: list[PredictionRow] = []
    for start in range(0, len(stream), run):
        part: list[EventRow] = list(stream[start : start + run])
        answered, incidents = learner.answer(part)
        predictions += answered
        waiting += [(i.events + delay, i.query.event_id) for i in incidents if i.query is not None]
        while waiting and waiting[0][0] <= learner.events:
            _, event_id = waiting.pop(0)
            learner.teach(Label(event_id=event_id, label=truths[event_id] or ""))
    return predictions


def test_the_learner_watches_as_pass_by_does_however_events_are_batched() -> None:
    stream = rows(400, twice=30)
    rules = DeskRules(max_open=8, when_full="withdraw-least", expire_after_events=25)

    def made() -> ActiveLearner:
        return ActiveLearner(
            Model(estimator()), ColdStart(Budgeted(0.3), examples=10), rules=rules, window=100
        )

    one, other = made(), made()
    predictions = play(one, stream, delay=20)
    watch = Accuracy(100)
    alone = made()
    # Within a run no label comes, so the learner may be asked about as many events as there are before the next.
    for start in range(0, 400, 20):
        alone.answer(list(stream[start : start + 20]))
        for row in stream[start : start + 20]:
            other.answer([row])
        assert alone.accuracy is not None
        assert other.accuracy is not None
        assert alone.accuracy.dump() == other.accuracy.dump()
        for event_id in [query.event_id for query in alone.desk.open_queries][:3]:
            for learner in (alone, other):
                learner.teach(Label(event_id=event_id, label="in"))
    for number, prediction in enumerate(predictions):
        name = prediction.event_id if prediction.queried else None
        watch.pass_by(number, prediction.label, prediction.confidence, prediction.propensity, name)
    assert one.accuracy is not None
    seen = one.accuracy.whole(400).estimate()
    assert seen.unseen == sum(prediction.propensity == 0.0 for prediction in predictions)
    assert seen.unanswered > 0
    assert seen.labels + seen.unanswered <= sum(prediction.queried for prediction in predictions)


def test_a_learner_that_does_not_watch_says_nothing() -> None:
    learner = ActiveLearner(Model(estimator()), window=None)
    play(learner, rows(50))
    assert learner.accuracy is None
    again = ActiveLearner(Model(estimator()), window=None)
    again.restore(learner.snapshot())
    assert again.accuracy is None


@pytest.mark.slow
def test_with_a_real_model_that_learns_and_a_drift_the_interval_covers_at_all_times() -> None:
    covered = naive_covered = 0
    for seed in range(40):
        stream = rows(1500, seed)
        flipped = [
            LabelledRow(row.features, row.id, truth={"in": "out", "out": "in"}[str(row.truth)])
            for row in stream[900:1200]
        ]
        stream[900:1200] = flipped  # a drift that turns the truth round, for a while
        learner = ActiveLearner(
            Model(estimator(), checkpoint_every=100_000),
            ColdStart(Budgeted(0.2, explore=0.05), examples=20),
            key=f"key {seed}",
        )
        right: list[bool] = []
        asked: list[bool] = []
        always = True
        for start in range(0, 1500, 50):
            part = stream[start : start + 50]
            predictions = play(learner, part, delay=0)
            right += [p.label == row.truth for p, row in zip(predictions, part, strict=True)]
            asked += [p.queried for p in predictions]
            assert learner.accuracy is not None
            found = learner.accuracy.whole(learner.events).estimate()
            true = sum(right[: found.events]) / found.events
            always = always and found.low <= true <= found.high
        covered += always
        told = [r for r, a in zip(right, asked, strict=True) if a]
        share = sum(told) / len(told)
        half = 1.96 * (share * (1.0 - share) / len(told)) ** 0.5
        naive_covered += abs(share - sum(right) / len(right)) <= half
    assert covered >= 36
    assert naive_covered <= 20


def test_the_classes_intervals_cover_and_the_matrix_is_near() -> None:
    draw, rng = Draws("classes"), random.Random(3)
    for round_ in range(20):
        watch = Accuracy()
        counts = dict.fromkeys(product("abc", "abc"), 0)
        asked = []
        for number in range(4000):
            true = rng.choices("abc", (6, 3, 1))[0]
            predicted = true if rng.random() < 0.8 else rng.choice("abc")
            counts[predicted, true] += 1
            name = f"{round_}:{number}"
            propensity = 1.0 if predicted == "c" else 0.1
            if watch.pass_by(number, predicted, 0.8, propensity, name if draw(name) < propensity else None):
                asked.append((name, true))
        for name, true in asked:
            watch.settle(name, true)
        report = watch.report(4000)
        for predicted, true, count in report.matrix:
            assert predicted is not None
            assert count == pytest.approx(counts[str(predicted), str(true)], abs=350)
        for found in report.classes:
            name = str(found.label)
            right = counts[name, name]
            precision = right / sum(counts[name, other] for other in "abc")
            recall = right / sum(counts[other, name] for other in "abc")
            assert found.precision_low <= precision <= found.precision_high
            assert found.recall_low <= recall <= found.recall_high
            assert found.precision_high - found.precision_low < 0.9
