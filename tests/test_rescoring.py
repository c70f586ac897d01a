"""Open queries are scored again as the model learns: what became sure is withdrawn, what is worth most comes first."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from recordings import People, run_pipeline
from river.naive_bayes import GaussianNB
from streams import rows

from connectors.kafka.worker import KafkaWorker
from connectors.sqlite import Annotations, verify
from connectors.sqlite.board import SqliteBoard
from stream_al import ActiveLearner, Budgeted, ColdStart, DeskRules, Label, Margin, Model
from stream_al.annotate.board import Request
from stream_al.config import load_config
from stream_al.errors import ConfigError
from stream_al.groups import GroupRules
from stream_al.records import Event

RULES = DeskRules(withdraw_below=0.6, rescore_every=5, rescore_most=20)


def learner(rules: DeskRules, groups: GroupRules | None = None) -> ActiveLearner:
    return ActiveLearner(
        Model(GaussianNB(), checkpoint_every=7),
        ColdStart(Budgeted(0.3), examples=5),
        rules=rules,
        groups=groups,
    )


def asked_and_taught(rules: DeskRules, asked: int = 60, taught: int = 30) -> tuple[ActiveLearner, list[str]]:
    """Ask about the first events, and teach some of them; return the learner and what was withdrawn by that."""
    made = ActiveLearner(Model(GaussianNB()), Margin(1.0, explore=0.3), rules=rules)
    withdrawn: list[str] = []
    stream = rows(asked)
    for row in stream:
        made.process(Event(id=str(row.id), features=row.features))
    for row in stream[:taught]:
        withdrawn += made.teach(Label(event_id=str(row.id), label=str(row.truth))).withdrawn
    return made, withdrawn


def test_what_became_sure_is_withdrawn_and_what_did_not_stays_with_its_new_utility() -> None:
    made, withdrawn = asked_and_taught(RULES)
    assert 5 < len(withdrawn) < 50
    left = {state.event_id: state for state in made.desk.dump()}
    for event_id in withdrawn:
        assert left[event_id].status == "withdrawn"
        assert left[event_id].utility < 0.6
        assert made.teach(Label(event_id=event_id, label="in")).outcome == "late"
    again, none = asked_and_taught(DeskRules(withdraw_below=0.0, rescore_every=30, rescore_most=100))
    assert none == []  # it only puts them in another order
    for query in again.desk.open_queries:
        (scores,) = again.model.score_all([query.features])
        state = next(state for state in again.desk.dump() if state.event_id == query.event_id)
        assert state.utility == 1.0 - scores.margin  # type: ignore[union-attr]
        assert query.utility == 1.0  # as it was asked


def test_what_chance_has_chosen_and_what_somebody_has_answered_stays() -> None:
    explored = ActiveLearner(
        Model(GaussianNB()), ColdStart(Margin(0.0, explore=0.5), examples=20), rules=RULES
    )
    stream = rows(200)
    for row in stream:
        explored.process(Event(id=str(row.id), features=row.features))
    certain = {query.event_id for query in explored.desk.open_queries if query.propensity == 1.0}
    chosen = {query.event_id for query in explored.desk.open_queries} - certain
    withdrawn: set[str] = set()
    for row in stream[:40]:
        withdrawn |= set(explored.teach(Label(event_id=str(row.id), label=str(row.truth))).withdrawn)
    assert withdrawn <= certain
    assert len(chosen) > 10
    sure = [query for query in explored.desk.open_queries if query.event_id in chosen]
    utilities = {state.event_id: state.utility for state in explored.desk.dump()}
    assert sum(utilities[query.event_id] < 0.6 for query in sure) > 5

    two, _ = asked_and_taught(DeskRules(quorum=2), taught=0)
    two.desk.rules = DeskRules(quorum=2, withdraw_below=1.0, rescore_every=1, rescore_most=100)
    two.teach(Label(event_id="e50", label="in", annotator="ann"))
    two.teach(Label(event_id="e51", annotator="ann", abstain="unsure"))
    gone: list[str] = []
    for name in ("ann", "bob"):
        for row in rows(8):
            answer = Label(event_id=str(row.id), label=str(row.truth), annotator=name)
            gone += two.teach(answer).withdrawn
    assert len(gone) > 30
    assert {"e50", "e51"} <= {query.event_id for query in two.desk.open_queries}


def test_a_model_that_knows_one_class_is_sure_of_nothing() -> None:
    made, _ = asked_and_taught(DeskRules(withdraw_below=1.0, rescore_every=1, rescore_most=100), taught=0)
    for event_id in ("e1", "e2", "e3"):
        assert made.teach(Label(event_id=event_id, label="in")).withdrawn == ()
    assert len(made.teach(Label(event_id="e4", label="out")).withdrawn) > 5


def test_no_more_are_scored_than_the_rules_say_and_each_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = DeskRules(withdraw_below=0.0, rescore_every=2, rescore_most=7)
    made, _ = asked_and_taught(rules, taught=0)
    seen: list[list[dict[str, object]]] = []
    score = made.model.score_all
    monkeypatch.setattr(
        made.model, "score_all", lambda events, wants=(): seen.append(list(events)) or score(events, wants)
    )
    for row in rows(24):
        made.teach(Label(event_id=str(row.id), label=str(row.truth)))
    assert [len(batch) for batch in seen] == [7] * 12  # after every other example
    turns = [features for batch in seen for features in batch]
    left = [query.features for query in made.desk.open_queries]
    assert all(features in turns for features in left)


@pytest.mark.parametrize(
    "groups", [None, GroupRules(within=0.3, weight=1.0, check=0.3)], ids=["alone", "groups"]
)
def test_verify_recomputes_the_withdrawals_and_finds_one_that_does_not_follow(
    tmp_path: Path, groups: GroupRules | None
) -> None:
    path = tmp_path / "store.db"
    people = {"wrong": 0.1, "twice": 0.2, "corrected": 0.2, "silent": 0.3}
    stream = rows(600, twice=11)
    run_pipeline(
        path, learner(RULES, groups), stream[:300], People(1, **people)
    )  # and stopped, and started again
    run_pipeline(path, learner(RULES, groups), stream, People(2, **people))
    found = dict(
        sqlite3.connect(path).execute("SELECT status, count(*) FROM queries GROUP BY status").fetchall()
    )
    assert found["withdrawn"] > 20
    assert found["answered"] > 40
    assert verify(path, lambda pipeline: learner(RULES, groups)).differences == []
    with sqlite3.connect(path) as connection:
        (event_id,) = connection.execute("SELECT event_id FROM queries WHERE status = 'withdrawn'").fetchone()
        connection.execute("UPDATE queries SET status = 'expired' WHERE event_id = ?", (event_id,))
    (told,) = verify(path, lambda pipeline: learner(RULES, groups)).differences
    assert told.startswith(f"query of {event_id}: status is 'expired' in the store, recomputed 'withdrawn'")


def test_people_get_what_is_worth_most_by_now_and_are_told_why_a_card_went(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    pipeline = {"labels": {"withdraw_below": 0.6}}
    run_pipeline(path, learner(RULES), rows(300), People(silent=0.5), pipeline)
    connection = sqlite3.connect(path, isolation_level=None)
    best = connection.execute(
        "SELECT event_id FROM queries WHERE status = 'open' ORDER BY utility DESC, asked LIMIT 5"
    ).fetchall()
    asked_order = connection.execute(
        "SELECT event_id FROM queries WHERE status = 'open' ORDER BY json_extract(query, '$.utility') DESC, asked LIMIT 5"
    ).fetchall()
    assert best != asked_order
    board = SqliteBoard(path)
    (gone,) = connection.execute("SELECT event_id FROM queries WHERE status = 'withdrawn'").fetchone()
    (reply,) = board.apply([("ann", Request(have=(gone,), want=5))])
    assert not isinstance(reply, Exception)
    assert reply.gone == {gone: "the model has become sure meanwhile"}
    assert [query.event_id for query in reply.cards] == [event_id for (event_id,) in best]
    board.apply([("ann", Request(leave=True))])
    board.close()
    terminal = Annotations(path, "bob")
    assert [query.event_id for query in terminal.next_queries(5)] == [event_id for (event_id,) in best]
    terminal.close()


def test_the_interval_covers_at_all_times_though_the_model_withdraws_what_it_is_wrongly_sure_of() -> None:
    """Before the drift a model sees; after it, it is sure and wrong, and withdraws accordingly."""
    covered = withdrawn = unanswered = 0
    for seed in range(20):
        stream = rows(500, seed)
        truths = {
            str(row.id): str(row.truth) if number < 250 else {"in": "out", "out": "in"}[str(row.truth)]
            for number, row in enumerate(stream)
        }
        rules = DeskRules(withdraw_below=0.5, rescore_every=3, rescore_most=50)
        made = ActiveLearner(
            Model(GaussianNB(), checkpoint_every=100_000),
            ColdStart(Budgeted(0.3, explore=0.1), examples=20),
            rules=rules,
            key=f"key {seed}",
        )
        assert made.accuracy is not None
        right: list[bool] = []
        waiting: list[str] = []
        always = True
        for row in stream:
            prediction, query, _ = made.process(Event(id=str(row.id), features=row.features))
            right.append(prediction.label == truths[str(row.id)])
            waiting += [query.event_id] if query else []
            if len(waiting) > 25:
                event_id = waiting.pop(0)
                if made.desk.is_open(event_id):
                    made.teach(Label(event_id=event_id, label=truths[event_id]))
            if made.events % 10 == 0:
                found = made.accuracy.whole(made.events).estimate()
                true = sum(right[: found.events]) / max(1, found.events)
                always &= found.low - 1e-9 <= true <= found.high + 1e-9
        states = [state.status for state in made.desk.dump()]
        withdrawn += states.count("withdrawn")
        unanswered += made.accuracy.whole(made.events).estimate().unanswered
        covered += always
    assert withdrawn > 100
    assert unanswered > 50
    assert covered == 20


def test_on_kafka_it_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text("[labels]\nwithdraw_below = 0.2\n[kafka]\n")
    with pytest.raises(ConfigError, match="withdraw_below: on Kafka who holds the open queries has a model"):
        KafkaWorker(load_config(path))


def test_a_store_made_before_there_was_such_a_rule_is_still_the_same_pipelines(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text("")
    assert not {
        name for name in load_config(path).pipeline()["labels"] if "rescore" in name or "withdraw" in name
    }
    path.write_text("[labels]\nwithdraw_below = 0.2\n")
    assert (
        load_config(path).pipeline()["labels"].items() >= {"withdraw_below": 0.2, "rescore_every": 10}.items()
    )
