import pytest
from river import evaluate, linear_model, metrics, naive_bayes, preprocessing, tree
from streams import rows

from connectors.datasets import RiverEvents
from connectors.memory import MemoryEvents, MemorySink, MemoryStore
from stream_al import ActiveLearner, DeskRules, Model, ModelError
from stream_al.ports import LabelledRow
from stream_al.replay import LabelledStream, Trial, matched_random, parse_strategy, replay
from stream_al.replay.contenders import all_labels, contender
from stream_al.replay.default_model import default_model
from stream_al.replay.oracle import SimulatedOracle
from stream_al.replay.outcome import Outcome
from stream_al.replay.people import Crowd
from stream_al.replay.plan import Entry
from stream_al.runtime import Worker

PHISHING = LabelledStream.read(RiverEvents("river:Phishing"), "river:Phishing")
SMALL = LabelledStream("small", tuple(rows(400)), ("in", "out"), {})


LINEAR = preprocessing.StandardScaler() | linear_model.LogisticRegression()


def trial(estimator=LINEAR, delay=0, jitter=0, **options):
    return Trial(lambda: Model(estimator), Crowd.one(delay, jitter), **options)


class _Verdicts(metrics.Accuracy):
    """River's accuracy, and whether each of the answers it counted was right."""

    def __init__(self):
        super().__init__()
        self.right = []

    def update(self, y_true, y_pred, w=1.0):
        self.right.append(float(y_true == y_pred))
        super().update(y_true, y_pred, w)


@pytest.mark.parametrize("delay", [None, 1, 30])
@pytest.mark.parametrize("estimator", [naive_bayes.GaussianNB(), tree.HoeffdingTreeClassifier(), LINEAR])
def test_with_all_labels_it_agrees_with_river_event_by_event(estimator, delay):
    # River's delay of n reveals a label before the n-th event after it; ours after n events in between.
    verdicts = _Verdicts()
    dataset = [
        ({name: row.features[name] for name in sorted(row.features)}, row.truth) for row in PHISHING.rows
    ]
    evaluate.progressive_val_score(dataset, estimator.clone(), verdicts, delay=delay)
    outcome = replay(PHISHING, all_labels(), trial(estimator, delay=max(0, (delay or 0) - 1)))
    # River leaves out what was not answered. Of a two-class model it takes answers before it learned both.
    unanswered = len(dataset) - len(verdicts.right)
    taught = (delay or 1) + next(n for n, (_, y) in enumerate(dataset) if y != dataset[0][1])
    assert unanswered == (0 if estimator is LINEAR else delay or 1)
    assert outcome.correct[taught:].tolist() == verdicts.right[taught - unanswered :]
    if unanswered:
        assert outcome.accuracy == pytest.approx(
            verdicts.get() * len(verdicts.right) / len(dataset), abs=1e-12
        )


def test_the_same_twice():
    margin = parse_strategy("margin", cold_start=20)
    once, again = (replay(SMALL, margin, trial(delay=5, jitter=20, key="k")) for _ in range(2))
    assert once.correct.tobytes() == again.correct.tobytes()
    assert once.asked.tobytes() == again.asked.tobytes()
    other = replay(SMALL, margin, trial(delay=5, jitter=20, key="another"))
    assert once.asked.tobytes() != other.asked.tobytes()


@pytest.mark.parametrize("delay", [0, 200, 2_000])
def test_what_is_asked_while_labels_are_late_is_repaid_before_the_stream_ends(delay):
    stream = LabelledStream("longer", tuple(rows(3_000)), ("in", "out"), {})
    outcome = replay(stream, Entry("margin", "", 0.1).contender(stream, "k"), trial(delay=delay))
    assert outcome.labels <= 0.1 * 3_000 + 2 * 20 + 1


@pytest.mark.parametrize("delay", [0, 25])
def test_random_asks_exactly_the_budget(delay):
    contender = matched_random((str(r.id) for r in SMALL.rows), budget=0.1, cold_start=10, key="k")
    assert replay(SMALL, contender, trial(delay=delay, key="k")).labels == 40


def test_a_budgeted_strategy_holds_its_budget_cold_start_included():
    outcome = replay(SMALL, parse_strategy("margin", budget=0.2, cold_start=10), trial())
    assert 60 <= outcome.labels <= 80 + 21
    assert outcome.accuracy > 0.7


def test_all_labels_are_asked_for_even_if_they_come_when_it_is_over():
    outcome = replay(SMALL, all_labels(), trial(delay=10_000))
    assert outcome.labels == outcome.answered == 400
    assert outcome.accuracy == 0.0


def test_progress_is_told_up_to_the_end():
    told = []
    replay(SMALL, all_labels(), trial(), told.append)
    assert told == sorted(told)
    assert told[0] < told[-1] == 400


TEXT = tuple(
    LabelledRow({"colour": "rgb"[n % 3], "x": float(n)}, f"t{n}", truth=n % 2 == 0) for n in range(60)
)


def test_a_model_that_learns_nothing_is_an_error_not_a_result():
    stream = LabelledStream("text", TEXT, (False, True), {})
    with pytest.raises(ModelError, match=r"learned none of the 60 labels: .*name another --model"):
        replay(stream, all_labels(), trial())


def test_what_a_model_refuses_now_and_then_is_noted():
    mixed = (*rows(100), LabelledRow({"x": "text", "y": 0.0, "n": 1}, "odd", truth="in"))
    outcome = replay(LabelledStream("mixed", mixed, ("in", "out"), {}), all_labels(), trial())
    assert outcome.notes == ("all labels: 1 events could not be scored, and are not measured.",)
    assert outcome.events == 100


@pytest.mark.parametrize(
    ("rows_", "classes", "name"),
    [
        (SMALL.rows, ("in", "out"), "StandardScaler | LogisticRegression"),
        (TEXT, (False, True), "(StandardScaler + OneHotEncoder) | LogisticRegression"),
        (TEXT, (0, 1, 2), "HoeffdingTreeClassifier"),
    ],
)
def test_the_default_model_fits_the_stream(rows_, classes, name):
    stream = LabelledStream("s", rows_, classes, {})
    estimator, told = default_model(stream)
    assert told == name
    assert replay(stream, all_labels(), trial(estimator)).answered == len(rows_)


@pytest.mark.parametrize("delay", [0, 1, 40])
@pytest.mark.parametrize("name", ["margin", "entropy>0.9", "all", "none"])
def test_it_does_event_by_event_what_the_worker_does(name, delay):
    contender_ = contender(name, (), budget=0.2, cold_start=10, key="k")
    crowd = Crowd.one(delay, 30)
    outcome = replay(SMALL, contender_, Trial(lambda: Model(LINEAR), crowd, "k"))
    rules = DeskRules(max_open=len(SMALL.rows) + 1)
    learner = ActiveLearner(Model(LINEAR), contender_.strategy, rules=rules, key="k")
    sink, oracle = MemorySink(), SimulatedOracle(crowd, "k")
    Worker(learner, MemoryEvents(SMALL.rows), oracle, sink, MemoryStore(), batch_size=90).run()
    written = Outcome.measure(
        "", "", bytes(sink.streams["predictions"]).splitlines(), [row.truth for row in SMALL.rows], 0
    )
    assert outcome.classes == written.classes
    for array in ("truth", "predicted", "confidence", "chance", "asked"):
        assert getattr(outcome, array).tobytes() == getattr(written, array).tobytes(), array
    assert outcome.answered == learner.model.version
