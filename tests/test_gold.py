"""Gold questions: known answers mixed among the queries, never learned; who answers them wrongly is named."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from recordings import People, run_pipeline
from rich.console import Console
from river.naive_bayes import GaussianNB
from streams import estimator, rows

from connectors.kafka.worker import KafkaWorker
from connectors.sqlite import Annotations, read_recording, verify
from connectors.sqlite.board import SqliteBoard
from connectors.sqlite.figures import SqliteFigures
from connectors.sqlite.outbox import SqliteOutbox
from connectors.sqlite.schema import progress_of
from stream_al import ActiveLearner, Budgeted, ColdStart, DeskRules, Label, Model
from stream_al.cli.run import Reporter
from stream_al.cli.summary import show, summary
from stream_al.config import load_config, stored_config
from stream_al.errors import ConfigError
from stream_al.gold import Gold, GoldQuestion
from stream_al.groups import GroupRules
from stream_al.ports import Progress
from stream_al.records import Event
from stream_al.reliability import standings_of
from stream_al.replay.rerun import reproduce

QUESTIONS = [GoldQuestion(f"g{row.id}", dict(row.features), str(row.truth)) for row in rows(12, seed=9)]
GOLD = Gold(QUESTIONS, share=0.3)


def learner(rules: DeskRules | None = None, gold: Gold | None = GOLD) -> ActiveLearner:
    return ActiveLearner(
        Model(estimator(), checkpoint_every=7), ColdStart(Budgeted(0.3), examples=5), rules=rules, gold=gold
    )


def test_they_are_the_share_told_look_like_their_companion_and_teach_nothing() -> None:
    made, asked, gold = learner(DeskRules(max_open=200)), 0, []
    for row in rows(1000):
        _, query, _ = made.process(Event(id=str(row.id), features=row.features))
        known = made.gold_asked
        asked += query is not None
        if known is not None:
            assert query is not None
            assert (known.reason, known.utility, known.threshold, known.propensity) == (
                query.reason, query.utility, query.threshold, query.propensity,
            )  # fmt: skip
            gold.append(known.event_id)
            before = made.model.digest()
            taught = made.teach(
                Label(event_id=known.event_id, label=GOLD.truths[known.event_id], annotator="ann")
            )
            assert (taught.outcome, taught.example, taught.detail) == ("gold", None, "ann is right")
            assert made.model.digest() == before
        if query is not None:
            made.teach(Label(event_id=query.event_id, label=str(row.truth), annotator="ann"))
    assert gold[:13] == [question.id for question in [*QUESTIONS, QUESTIONS[0]]]
    assert len(gold) / (len(gold) + asked) == pytest.approx(0.3, abs=0.05)
    assert made.model.version == asked
    assert made.accuracy is not None
    assert made.accuracy.whole(made.events).labels <= asked


def test_who_answers_wrongly_is_named_and_only_then() -> None:
    made = learner(DeskRules(quorum=2, max_open=500))
    wrong = {"in": "out", "out": "in"}
    for row in rows(600):
        made.process(Event(id=str(row.id), features=row.features))
        known = made.gold_asked
        if known is not None:
            truth = GOLD.truths[known.event_id]
            for name, label in (("ann", truth), ("eve", wrong[truth])):
                told = made.teach(Label(event_id=known.event_id, label=label, annotator=name))
                assert told.outcome == "gold"
    (ann, eve) = standings_of(made.desk.memory)
    assert (ann.distrusted, eve.distrusted) == (False, True)
    assert ann.compared == eve.compared > 30
    assert eve.reliability < 0.2 < 0.9 < ann.reliability


def test_an_annotators_second_answer_is_a_duplicate_and_an_abstention_is_one() -> None:
    made = learner(DeskRules(quorum=2))
    for row in rows(40):
        made.process(Event(id=str(row.id), features=row.features))
        known = made.gold_asked
        if known is not None:
            break
    assert known is not None
    told = [
        made.teach(Label(event_id=known.event_id, label=label, annotator="ann")).outcome
        for label in ("in", "out")
    ]
    assert told == ["gold", "duplicate"]
    assert (
        made.teach(Label(event_id=known.event_id, abstain="unsure", annotator="bob")).outcome == "abstained"
    )


@pytest.mark.parametrize(
    "rules", [DeskRules(), DeskRules(quorum=2, agreement="weighted", withdraw_below=0.8)]
)
def test_verify_recomputes_them_and_a_restart_goes_on(tmp_path: Path, rules: DeskRules) -> None:
    path = tmp_path / "store.db"
    people = {"wrong": 0.3, "silent": 0.3, "unsure": 0.1, "twice": 0.1, "names": ("ann", "bob", "cid")}
    stream = rows(500, twice=11)
    run_pipeline(path, learner(rules), stream[:250], People(1, **people))  # type: ignore[arg-type]
    run_pipeline(path, learner(rules), stream, People(2, **people))  # type: ignore[arg-type]
    connection = sqlite3.connect(path)
    (answered,) = connection.execute("SELECT count(*) FROM labels WHERE outcome = 'gold'").fetchone()
    assert answered > 30
    learned = connection.execute("SELECT event_id FROM examples").fetchall()
    assert not {event_id for (event_id,) in learned} & GOLD.truths.keys()
    assert not connection.execute("SELECT 1 FROM dead_letters WHERE letter LIKE '%\"gold\"%'").fetchall()
    assert verify(path, lambda pipeline: learner(rules)).differences == []
    assert reproduce(read_recording(path, lambda pipeline: learner(rules))).differences == []
    assert verify(path, lambda pipeline: learner(rules, None)).differences


def liars_store(path: Path) -> Path:
    """A store in which eve is always wrong."""

    class Lying(People):
        def asked(self, query, event, number):  # type: ignore[no-untyped-def]
            other = "in" if event.truth == "out" else "out"
            for name, label in (("ann", event.truth), ("bob", event.truth), ("eve", other)):
                record = {"event_id": query.event_id, "annotator": name, "label": label}
                self._send(number + 5, json.dumps(record).encode())

    return run_pipeline(path, learner(DeskRules(quorum=3, agreement="weighted")), rows(300), Lying())


def test_who_is_distrusted_is_named_by_status_dashboard_and_webhook(tmp_path: Path) -> None:
    path = liars_store(tmp_path / "store.db")
    progress = progress_of(sqlite3.connect(path))
    assert progress is not None
    console = Console(record=True, width=200)
    show(summary(progress, 0), console)
    shown = console.export_text()
    assert "annotator: eve disagrees with the others or with known answers: right in about" in shown
    assert "annotator: ann" not in shown
    log = Console(record=True, width=200)
    reporter = Reporter(log, Progress(), quiet=True)
    for _ in range(2):
        reporter.update(progress, 0)
    assert log.export_text().count("annotator: eve disagrees") == 1
    SqliteBoard(path).close()  # whose tables the dashboard reads, too
    figures = SqliteFigures(path)
    people = {person["name"]: person for person in figures.read()["people"]}
    figures.close()
    assert {name: person["distrusted"] for name, person in people.items()} == {
        "ann": False,
        "bob": False,
        "eve": True,
    }
    assert people["eve"]["reliability"] < 0.3 < 0.9 < people["ann"]["reliability"]

    outbox = SqliteOutbox(path, ["distrust"])
    outbox.collect()
    assert outbox.waiting(9) == []  # it was so before anybody wanted to be told
    outbox._connection.execute("UPDATE outbox_state SET value = '[]' WHERE name = 'distrust'")
    outbox._seen = -1
    outbox.collect()
    (message,) = outbox.waiting(9)
    body = json.loads(message.body)
    assert (body["type"], body["data"]["annotator"]) == ("annotator.distrusted", "eve")
    outbox._seen = -1
    outbox.collect()
    assert len(outbox.waiting(9)) == 1
    outbox.close()


def test_people_cannot_tell_a_gold_question_by_its_card(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    run_pipeline(path, learner(), rows(60), People(silent=1.0))
    terminal = Annotations(path, "ann")
    dealt = {query.event_id: query for query in terminal.next_queries(100)}
    terminal.close()
    golds = [query for name, query in dealt.items() if name in GOLD.truths]
    assert len(golds) > 3
    others = {(q.reason, q.utility, q.event_number) for name, q in dealt.items() if name not in GOLD.truths}
    assert {(q.reason, q.utility, q.event_number) for q in golds} <= others


CONFIG = """
[gold]
path = "known.jsonl"
share = 0.1
"""


def test_the_configuration_reads_them_and_the_store_keeps_them(tmp_path: Path) -> None:
    lines = [
        {"id": "k1", "features": {"x": 1.5}, "label": "in"},
        {"id": "k2", "features": {"x": 2}, "label": "out"},
    ]
    (tmp_path / "known.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "pipeline.toml").write_text(CONFIG)
    config = load_config(tmp_path / "pipeline.toml")
    gold = config.gold.gold()
    assert gold is not None
    assert (gold.share, gold.truths) == (0.1, {"k1": "in", "k2": "out"})
    again = stored_config(json.loads(json.dumps(config.pipeline())), "store.db").gold.gold()
    assert again == gold
    (tmp_path / "pipeline.toml").write_text("")
    assert "gold" not in load_config(tmp_path / "pipeline.toml").pipeline()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 1: .*write"),
        ('{"id": "a", "features": {}, "label": 1}', "line 1: .*at least 1"),
        (
            '{"id": "a", "features": {"x": 1}, "label": 1}\n{"id": "a", "features": {"x": 1}, "label": 1}',
            "twice",
        ),
    ],
)
def test_a_file_that_is_none_is_refused_by_line(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "known.jsonl").write_text(line)
    (tmp_path / "pipeline.toml").write_text(CONFIG)
    with pytest.raises(ConfigError, match=rf"\[gold\] path: .*{told}"):
        load_config(tmp_path / "pipeline.toml")


def test_on_kafka_they_are_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text('[gold]\nquestions = [{id = "a", features = {x = 1}, label = "in"}]\n[kafka]\n')
    with pytest.raises(ConfigError, match=r"\[gold\]: on Kafka the labels are in partitions"):
        KafkaWorker(load_config(path))


def test_nothing_is_known_of_anybody_without_a_desks_memory() -> None:
    assert summary(Progress(), 0)["annotators"] == []


def test_where_most_people_lie_known_answers_decide_whom_to_believe() -> None:
    honest, liars = ("h1", "h2"), ("l1", "l2", "l3")
    wrong = {"in": "out", "out": "in"}

    def learned_rightly(gold: Gold | None) -> tuple[float, list[str]]:
        rules = DeskRules(quorum=5, agreement="weighted", max_open=500)
        made, told = learner(rules, gold), []
        for row in rows(600):
            _, query, _ = made.process(Event(id=str(row.id), features=row.features))
            known = made.gold_asked
            for asked, truth in ((query, str(row.truth)), (known, known and GOLD.truths[known.event_id])):
                for name in (*honest, *liars) if asked is not None else ():
                    label = str(truth) if name in honest else wrong[str(truth)]
                    taught = made.teach(Label(event_id=asked.event_id, label=label, annotator=name))  # type: ignore[union-attr]
                    if taught.example is not None:
                        told.append(taught.example.label == row.truth)
        return sum(told) / len(told), [one.name for one in standings_of(made.desk.memory) if one.distrusted]

    assert learned_rightly(None) == (0.0, list(honest))
    share, named = learned_rightly(GOLD)
    assert share > 0.9
    assert named == list(liars)


def test_all_of_the_desks_rules_together_are_recomputed_across_restarts(tmp_path: Path) -> None:
    rules = DeskRules(
        quorum=2,
        agreement="weighted",
        sure=0.7,
        second_opinion=0.6,
        withdraw_below=0.5,
        rescore_every=3,
        rescore_most=7,
        max_open=30,
        when_full="withdraw-least",
        expire_after_events=80,
        remember=60,
    )

    def made() -> ActiveLearner:
        strategy, groups = ColdStart(Budgeted(0.3), examples=5), GroupRules(within=0.3, weight=1.0, check=0.3)
        model = Model(GaussianNB(), checkpoint_every=7)
        return ActiveLearner(model, strategy, rules=rules, gold=GOLD, groups=groups)

    path, stream = tmp_path / "store.db", rows(900, twice=11)
    people = {"wrong": 0.3, "silent": 0.2, "unsure": 0.1, "twice": 0.1, "corrected": 0.2}
    for end in (200, 450, 451, 900):
        run_pipeline(path, made(), stream[:end], People(end, names=("ann", "bob", "cid"), **people))  # type: ignore[arg-type]
    statuses = {status for (status,) in sqlite3.connect(path).execute("SELECT DISTINCT status FROM queries")}
    assert statuses >= {"answered", "checked", "erased", "expired", "open", "withdrawn"}
    assert verify(path, lambda pipeline: made()).differences == []
    assert reproduce(read_recording(path, lambda pipeline: made())).differences == []
