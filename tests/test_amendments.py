"""The model after an amendment is the one that folded the log as it is amended, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river.linear_model import LogisticRegression
from river.naive_bayes import GaussianNB
from river.tree import HoeffdingTreeClassifier
from river_models import CASES, LABELS, examples, labels_of

from stream_al.amendments import ListedLog, Rewritten, standing_of
from stream_al.checkpoints import KEPT
from stream_al.errors import ModelError
from stream_al.log_codec import ExampleRow
from stream_al.model import Model
from stream_al.records import Amendment, ClassLabel, Example, LogRecord, parse_logged


def amended(log: list[LogRecord | None]) -> list[Example | None]:
    """Write the rule down once more, as plainly as can be: what the log is when all of it is known."""
    plain: list[Example | None] = [record if isinstance(record, Example) else None for record in log]
    for number, record in enumerate(log):
        if not isinstance(record, Amendment):
            continue
        mine = [
            n
            for n, other in enumerate(log[:number])
            if isinstance(other, Example) and other.event_id == record.event_id
        ]
        target = record.amends if record.amends is not None else (mine or [None])[-1]
        if target in mine:
            found = log[target]
            assert isinstance(found, Example)
            plain[target] = None if record.label is None else found.model_copy(update={"label": record.label})
    return plain


def offline(fresh: Model, log: list[LogRecord | None]) -> Model:
    for example in amended(log):
        if example is None:
            fresh.pass_over()
        else:
            fresh.learn(example)
    return fresh


def online(model: Model, log: list[LogRecord | None]) -> Model:
    """Fold record by record, with only what came before in sight."""
    seen = ListedLog()
    for record in log:
        model.fold(record, seen)
        seen.append(record)
    return model


@st.composite
def logs(draw: st.DrawFn, labels: tuple[ClassLabel, ...], data: str) -> list[LogRecord | None]:
    """Examples, some of which cannot be learned, amendments of them and of each other, erasures, and rubbish."""
    stream = examples(data, labels)
    log: list[LogRecord | None] = []
    wrong: tuple[Any, ...] = (7.5 in labels or "no such type", 12345)
    for number in range(draw(st.integers(1, 40))):
        kind = draw(
            st.sampled_from(["example"] * 6 + ["amend"] * 3 + ["erase", "refused", "rubbish", "poison"])
        )
        example = stream[number]
        if kind == "rubbish":
            log.append(None)
        elif kind in ("example", "refused", "poison"):
            update: dict[str, Any] = {"event_id": f"e{draw(st.integers(0, number))}"}
            if kind == "poison":  # raises halfway where numbers are needed
                update["features"] = {**example.features, max(example.features): "a text"}
            if kind == "refused":
                update["label"] = draw(st.sampled_from(wrong))
            log.append(example.model_copy(update=update))
        else:
            there = [(n, r.event_id) for n, r in enumerate(log) if isinstance(r, Example)]
            amends, event_id = draw(st.sampled_from([*there, (0, "nobody"), (999, "e0")]))
            label = None if kind == "erase" else draw(st.sampled_from([*labels, *wrong[1:]]))
            amendment = Amendment(event_id=event_id, why="tried", label=label)
            named = draw(st.booleans())
            log.append(amendment.model_copy(update={"amends": amends}) if named else amendment)
    return log


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(content=st.data())
def test_the_digest_is_that_of_the_amended_log_folded_in_one_go(name: str, content: st.DataObject) -> None:
    case = CASES[name]
    kind = next(kind for kind in LABELS if labels_of(case, kind))
    log = content.draw(logs(labels_of(case, kind), case.data))
    online_model = online(Model(case.make(), checkpoint_every=5), log)
    assert online_model.digest() == offline(Model(case.make()), log).digest()


@settings(max_examples=200, deadline=None)
@given(log=logs(("a", "b", "c"), "numbers"), every=st.integers(1, 12), restart=st.integers(0, 40))
def test_it_is_whatever_the_checkpoints_and_also_after_a_restart(
    log: list[LogRecord | None], every: int, restart: int
) -> None:
    model, seen = Model(GaussianNB(), checkpoint_every=every), ListedLog()
    for number, record in enumerate(log):
        if number == restart:
            dump = model.dump()
            model = Model(GaussianNB(), checkpoint_every=every)
            model.load(dump)
        model.fold(record, seen)
        seen.append(record)
        # Every prefix, and every checkpoint, is the fold of its own prefix as amended so far.
        assert model.digest() == offline(Model(GaussianNB()), log[: number + 1]).digest()
        assert model.version == number + 1
        assert len(model._checkpoints.versions) <= KEPT + 1
    assert list(Rewritten(ListedLog(log), 0, len(log))) == amended(log)


@pytest.mark.parametrize("make", [GaussianNB, LogisticRegression, HoeffdingTreeClassifier])
@settings(max_examples=100, deadline=None)
@given(log=logs(("a", "b"), "numbers"), every=st.integers(1, 12), cuts=st.sets(st.integers(1, 40)))
def test_a_log_folded_in_runs_is_the_log_folded_record_by_record(
    make: Any, log: list[LogRecord | None], every: int, cuts: set[int]
) -> None:
    plain, model = Model(make(), checkpoint_every=every), Model(make(), checkpoint_every=every)
    whole, refused, found, standing = ListedLog(), {}, {}, []
    for number, record in enumerate(log):
        if (why := plain.fold(record, whole)) is not None:
            refused[number] = why
        whole.append(record)
        standing.append((plain.version, plain.checkpointed, plain.digest()))
    rows = ListedLog(ExampleRow.of(record) if isinstance(record, Example) else record for record in log)
    events = [example.features for example in examples("numbers", ("a", "b"), 20)]
    ends = sorted({end for end in cuts if end < len(log)} | {len(log)})
    for start, end in zip([0, *ends], ends, strict=False):
        found |= model.fold_all(rows[start:end], rows)
        model.score_all([*map(dict, events)])  # compiles what the next run must drop
        assert (model.version, model.checkpointed, model.digest()) == standing[end - 1]
    assert found == refused
    assert list(map(model.score, events)) == list(map(plain.score, events))


def test_a_recent_amendment_is_folded_from_a_recent_checkpoint() -> None:
    class Counting(ListedLog):
        read = 0

        def examples(self, start: int = 0) -> Iterator[LogRecord | None]:
            for record in super().examples(start):
                self.read += 1
                yield record

    log = Counting(examples("numbers", ("a", "b"), 1000))
    model = Model(LogisticRegression(), checkpoint_every=50)
    for record in log:
        model.fold(record, log)
    assert log.read == 0
    refused = model.amend(Amendment(event_id="990", amends=990, label="a", why="misread"), log)
    assert refused is None
    assert log.read < 250
    assert model.version == 1001


def test_an_amendment_of_nothing_is_folded_as_nothing_and_says_so() -> None:
    log = ListedLog([Example(event_id="e1", features={"x": 1.0}, label="a")])
    model = online(Model(GaussianNB()), log)
    answer = model.score({"x": 1.0})
    for amends, event_id in ((None, "e2"), (0, "e2"), (1, "e1"), (7, "e1")):
        detail = model.amend(Amendment(event_id=event_id, amends=amends, label="b", why="?"), log)
        assert detail is not None
        assert event_id in detail
        log.append(Amendment(event_id=event_id, amends=amends, label="b", why="?"))
    assert model.score({"x": 1.0}).probabilities == answer.probabilities
    assert model.version == 5


def test_erasing_the_only_example_of_a_class_takes_the_class_and_the_label_type_away() -> None:
    log = ListedLog([Example(event_id="e1", features={"x": 1.0}, label=7)])
    model = online(Model(GaussianNB()), log)
    assert model.label_type == "int"
    model.amend(Amendment(event_id="e1", why="on request"), log)
    assert model.classes == ()
    assert model.label_type is None
    model.check_label("spam")


def test_a_log_that_is_too_short_leaves_the_model_as_it_was() -> None:
    log = ListedLog(examples("numbers", ("a", "b"), 20))
    model = online(Model(GaussianNB(), checkpoint_every=3), log)
    before = model.digest(), model._checkpoints.versions
    with pytest.raises(ModelError, match="the log ends at 10, and 20 records of it were folded"):
        model.amend(Amendment(event_id="4", amends=4, why="on request"), ListedLog(log[:10]))
    assert (model.digest(), model._checkpoints.versions) == before
    model.amend(Amendment(event_id="4", amends=4, why="on request"), log)
    assert model.version == 21


def test_what_stands_of_an_event_is_its_last_example_as_last_amended() -> None:
    log: list[LogRecord | None] = [
        Example(event_id="e1", features={"x": 1.0}, label="a"),
        None,
        Example(event_id="e1", features={"x": 2.0}, label="b"),
        Amendment(event_id="e1", amends=0, label="c", why="the first"),
        Amendment(event_id="e1", label="d", why="the last"),
    ]
    found = standing_of("e1", log)
    assert found is not None
    assert (found.number, found.label) == (2, "d")
    assert [record and record.label for record in amended(log)] == ["c", None, "d", None, None]


def test_a_record_of_the_log_is_read_as_what_it_is() -> None:
    for record in (
        Example(event_id="e1", features={"amends": 1.0}, label="amends"),
        Amendment(event_id="e1", why="on request"),
        Amendment(event_id="e1", amends=3, label=True, why='"features"'),
    ):
        assert parse_logged(record.to_json()) == record
