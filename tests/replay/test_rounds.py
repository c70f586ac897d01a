import pytest
from river import linear_model, naive_bayes, preprocessing
from streams import rows

from connectors.datasets import RiverEvents
from stream_al import ConfigError, Model, ModelError
from stream_al.ports import LabelledRow
from stream_al.replay import LabelledStream
from stream_al.replay.rounds import Rounds, run_rounds
from stream_al.replay.rounds_shown import RoundsComparison, rounds_table, write_rounds_png

STREAM = LabelledStream("small", tuple(rows(1000)), ("in", "out"), {})
PHISHING = LabelledStream.read(RiverEvents("river:Phishing"), "river:Phishing")


def bayes():
    return Model(naive_bayes.GaussianNB())


def linear():
    return Model(preprocessing.StandardScaler() | linear_model.LogisticRegression())


def test_the_seed_texts_numbers_are_the_defaults():
    outcome = run_rounds(STREAM, "margin", bayes, Rounds(confident=1.0, confidence=1.0))
    assert [round(done.share, 2) for done in outcome.rounds] == [0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    assert outcome.why == "30% were labelled"


def test_it_stops_when_the_model_is_sure_of_enough_of_the_rest():
    outcome = run_rounds(PHISHING, "least-confidence", bayes, Rounds(confidence=0.6, confident=0.5, stop=1.0))
    assert outcome.rounds[-1].sure >= 0.5
    assert all(done.sure < 0.5 for done in outcome.rounds[:-1])
    assert outcome.why.startswith("the model was sure (0.6 or more) of ")


def test_a_round_learns_exactly_the_least_sure():
    learned = []

    class Watched(Model):
        def learn_all(self, examples):
            learned.extend(example.event_id for example in examples)
            return super().learn_all(examples)

    made = []

    def make():
        made.append(Watched(naive_bayes.GaussianNB()))
        return made[-1]

    rounds = Rounds(start=0.1, step=0.1, stop=0.2, confident=1.0, confidence=1.0)
    outcome = run_rounds(STREAM, "margin", make, rounds)
    first, second = outcome.rounds
    batch, chosen = learned[: first.labels], set(learned[first.labels : second.labels])
    order = {str(row.id): number for number, row in enumerate(STREAM.rows)}
    assert [order[name] for name in batch] == sorted(order[name] for name in batch)
    judge = bayes()
    from stream_al.records import Example

    by_id = {str(row.id): row for row in STREAM.rows}
    for name in batch:
        judge.learn(Example(event_id=name, features=by_id[name].features, label=by_id[name].truth))
    pool = set(learned[second.labels :]) - set(batch)  # what all labels then learned, in the end
    margins = {name: judge.score(by_id[name].features).margin for name in pool}
    assert max(margins[name] for name in chosen) <= min(margins[name] for name in pool - chosen)


def test_all_start_from_the_same_and_are_measured_on_the_same():
    rounds = Rounds(confident=1.0)
    found = [run_rounds(STREAM, name, linear, rounds) for name in ("margin", "entropy", "random")]
    assert len({outcome.rounds[0] for outcome in found}) == 1
    assert len({outcome.all_labels for outcome in found}) == 1
    assert found[0] == run_rounds(STREAM, "margin", linear, rounds)
    assert found[2].rounds[1:] != run_rounds(STREAM, "random", linear, rounds, key="l").rounds[1:]


@pytest.mark.parametrize(
    ("stream", "strategy", "options", "message"),
    [
        (STREAM, "margin<0.2", {}, "in rounds the least sure are chosen, by least-confidence, margin"),
        (
            LabelledStream("tiny", tuple(rows(10)), ("in", "out"), {}),
            "margin",
            {},
            "too few for rounds of 5%",
        ),
        (STREAM, "margin", {"start": 0.5}, "give shares of the records, the first the lower"),
        (STREAM, "margin", {"step": 0.0}, "--step 0: must be more than 0"),
    ],
)
def test_what_cannot_be_done_in_rounds_is_refused(stream, strategy, options, message):
    with pytest.raises(ConfigError, match=message):
        run_rounds(stream, strategy, bayes, Rounds(**options))


def test_a_model_that_learns_nothing_is_an_error():
    text = LabelledStream(
        "text",
        tuple(LabelledRow({"x": "a"}, f"t{n}", truth=n % 2 == 0) for n in range(100)),
        (False, True),
        {},
    )
    with pytest.raises(ModelError, match="learned none of"):
        run_rounds(text, "margin", linear, Rounds())


def test_side_by_side_in_a_sentence_a_table_and_a_picture(tmp_path):
    rounds = Rounds(confident=1.0)
    outcomes = [
        [run_rounds(PHISHING, name, linear, rounds, model="Linear", key=key) for key in "ab"]
        for name in ("margin", "random")
    ]
    found = RoundsComparison("phishing", rounds, outcomes)
    assert found.heading == "phishing · Linear · in rounds of 5% · 2 seeds"
    assert found.sentence().startswith("With 30% of the labels, chosen by margin, the model was right on ")
    table = rounds_table(found)
    assert table.row_count == 7
    path = tmp_path / "rounds.png"
    write_rounds_png(found, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [len(s["seeds"][0]["rounds"]) for s in found.to_json()["strategies"]] == [6, 6]
