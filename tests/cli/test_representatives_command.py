"""`stream-al representatives`: from a pool to queries, and from labels to examples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from river import datasets
from river.naive_bayes import GaussianNB
from typer.testing import CliRunner

from stream_al import Model
from stream_al.cli.app import app
from stream_al.errors import ConfigError, SourceError, StreamALError
from stream_al.records import Example, Query

POOL = "river:ImageSegments"
TRUTH = {f"ImageSegments:{number}": label for number, (_, label) in enumerate(datasets.ImageSegments(), 1)}


def run(*options: object) -> str:
    done = CliRunner().invoke(app, ["representatives", *map(str, options)])
    if isinstance(done.exception, StreamALError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stderr


def asked(path: Path) -> list[Query]:
    return [Query.model_validate_json(line) for line in path.read_bytes().splitlines()]


def answer(path: Path, labels: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps({"event_id": k, "label": v}) + "\n" for k, v in labels.items()))
    return path


def test_a_few_labels_teach_many_records(tmp_path: Path) -> None:
    queries, examples = tmp_path / "queries.jsonl", tmp_path / "examples.jsonl"
    assert "40 of 2,310 records stand for 40 groups" in run(POOL, "--count", 40, "--queries", queries)
    found = asked(queries)
    assert {query.reason for query in found} == {"representative"}
    assert sum(query.utility for query in found) == pytest.approx(1.0), "together they stand for all"
    labels = answer(tmp_path / "labels.jsonl", {q.event_id: TRUTH[q.event_id] for q in found})
    told = run(POOL, "--count", 40, "--labels", labels, "--examples", examples)
    assert told.startswith("40 labels, propagated to ")
    made = [Example.model_validate_json(line) for line in examples.read_bytes().splitlines()]
    said = [example for example in made if example.propagated_from is None]
    taken = [example for example in made if example.propagated_from is not None]
    assert {example.event_id for example in said} == {query.event_id for query in found}
    assert all(example.annotators and example.weight == 1.0 for example in said)
    assert all(not example.annotators and example.weight == 0.5 for example in taken)
    assert len(taken) > 500
    assert sum(example.label == TRUTH[example.event_id] for example in taken) / len(taken) > 0.8

    def right(learned: list[Example]) -> float:
        model = Model(GaussianNB())
        for example in learned:
            assert model.learn(example.model_copy(update={"weight": 1.0})) is None
        return sum(model.score(dict(x)).label == y for x, y in datasets.ImageSegments()) / 2310

    assert right(made) > right(said)


def test_the_same_command_chooses_the_same(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    run(POOL, "--count", 10, "--queries", one)
    run(POOL, "--count", 10, "--queries", two)
    assert one.read_bytes() == two.read_bytes()


def test_what_records_are_compared_by_and_grouped_with_can_be_named(tmp_path: Path) -> None:
    queries = tmp_path / "queries.jsonl"
    run(POOL, "--count", 10, "--embed", "river.preprocessing.MinMaxScaler", "--queries", queries)
    assert len(asked(queries)) == 10
    source = tmp_path / "hue.py"
    source.write_text(
        "def hue(features):\n    return [features['hue-mean']]\n\n\ndef model():\n    return hue\n"
    )
    run(POOL, "--count", 5, "--embed", source, "--clusterer", "river.cluster.DBSTREAM", "--queries", queries)
    assert len(asked(queries)) == 5


def test_people_who_differ_and_those_who_change_their_mind(tmp_path: Path) -> None:
    queries, labels, examples = (tmp_path / f"{name}.jsonl" for name in ("queries", "labels", "examples"))
    run(POOL, "--count", 3, "--queries", queries)
    first, second, third = (query.event_id for query in asked(queries))
    said = [
        (first, "sky", "ann"), (first, "grass", "bob"), (second, "sky", "ann"), (second, "path", "ann"),
    ]  # fmt: skip
    lines = [json.dumps({"event_id": e, "label": label, "annotator": who}) for e, label, who in said]
    lines += ["", json.dumps({"event_id": third, "abstain": "unsure"})]
    labels.write_text("\n".join(lines))
    told = run(POOL, "--count", 3, "--labels", labels, "--examples", examples)
    assert told.startswith("1 labels, propagated to ")
    assert "of 1 records people's labels differ" in told
    made = [Example.model_validate_json(line) for line in examples.read_bytes().splitlines()]
    assert {example.label for example in made} == {"path"}
    assert {example.propagated_from for example in made} == {None, second}


def test_what_cannot_be_done_says_so(tmp_path: Path) -> None:
    labels = answer(tmp_path / "labels.jsonl", {"nobody": "sky"})
    out = ("--labels", labels, "--examples", tmp_path / "examples.jsonl")
    with pytest.raises(
        SourceError, match=r"labels.jsonl:1: event_id: there is no record 'nobody' in the pool"
    ):
        run(POOL, "--count", 3, *out)
    labels.write_text("{not json\n")
    with pytest.raises(SourceError, match=r"labels.jsonl:1: "):
        run(POOL, "--count", 3, *out)
    with pytest.raises(SourceError, match="--labels"):
        run(POOL, "--count", 3, "--labels", tmp_path / "none", "--examples", tmp_path / "e")
    with pytest.raises(ConfigError, match="belong together"):
        run(POOL, "--count", 3, "--labels", labels)
    with pytest.raises(ConfigError, match="--count 3000: give a number from 1 to 2,310"):
        run(POOL, "--count", 3000)
    with pytest.raises(ConfigError, match=r"--embed river\.none\.Such"):
        run(POOL, "--count", 3, "--embed", "river.none.Such")
    with pytest.raises(ConfigError, match="neither a River transformer nor a function"):
        run(POOL, "--count", 3, "--embed", "river.stats.Mean")
    empty = tmp_path / "empty.csv"
    empty.write_text("x,y\n")
    with pytest.raises(SourceError, match="no record"):
        run(empty, "--count", 3)
