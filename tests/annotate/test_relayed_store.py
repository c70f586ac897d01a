"""The page's file of a pipeline that runs elsewhere: what is seen there in whatever order, and what goes out."""

import json
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.sqlite import Annotations, SqliteStore
from connectors.sqlite.board import SqliteBoard
from connectors.sqlite.bridged import Bridged
from connectors.sqlite.figures import SqliteFigures
from connectors.sqlite.relayed import RelayedStore
from stream_al.annotate.board import Answer, Request, Undo
from stream_al.annotate.relay import Asked, Buried, Closed, Logged, Said
from stream_al.codec import EventRow, QueryRow
from stream_al.errors import StoreBusyError, StoreError
from stream_al.records import Label

CATS = {"model": {"classes": ["cat", "dog"], "label_type": "str"}, "labels": {"quorum": 1}}


def query(event_id, utility=1.0):
    return (
        QueryRow(event_id, {"x": 1.0}, None, None, None, {}, utility, None, 1.0, "explore", 0, 0)
        .to_json()
        .decode()
    )


def asked(event_id, at=1000, votes=None, abstained="[]", utility=1.0):
    return Asked(event_id, utility, query(event_id, utility), at, votes, abstained)


def label(event_id, who, said="cat"):
    return json.dumps({"event_id": event_id, "label": said, "annotator": who}).encode()


def heard(place, event_id, who, said="cat", id=None, at=3000):
    return Said(place, label(event_id, who, said), event_id, at, id)


def learned(event_id, answers, places, said="cat"):
    text = json.dumps({"event_id": event_id, "label": said})
    return Logged(text, event_id, said, None, False, answers, places, 1000, "dog", 4000)


def amended(event_id, answers, places, said=None, amends=None):
    text = json.dumps({"event_id": event_id, "amends": amends, "label": said})
    return Logged(text, event_id, said, amends, True, answers, places, 0, None, 5000)


@pytest.fixture
def opened(tmp_path):
    made = []

    def make(path=None, pipeline=CATS, origin="here"):
        made.append(RelayedStore(path or tmp_path / "page.db", pipeline, origin))
        return made[-1]

    yield make
    for each in made:
        each.close()


def rows(store, statement):
    connection = sqlite3.connect(store.path)
    found = connection.execute(statement).fetchall()
    connection.close()
    return found


def ask(board, who, *operations, have=(), leave=False):
    (reply,) = board.apply([(who, Request(operations, tuple(have), 3, leave))])
    if isinstance(reply, Exception):
        raise reply
    return reply


def said(event_id, what="cat"):
    return Answer(key=f"key of {event_id}", event_id=event_id, label=json.dumps(what))


# ── what is seen ─────────────────────────────────────────────────────────────────────────────────

VOTE = json.dumps([[0, {"event_id": "b", "label": "dog", "annotator": "ann"}, "labels:0:1"]])
HISTORY = {
    "queries": [
        asked("a", 10), asked("b", 20), asked("c", 30), asked("d", 40), asked("e", 50),
        asked("b", 0, VOTE), Closed("a", "answered", 60), asked("d", 0, "[]", '["bob"]'), Closed("c", "expired", 70),
        Closed("b", "answered", 80), asked("a", 90), Closed("a", "withdrawn", 91), Closed("b", "erased", 95),
    ],
    "labels": [
        heard("labels:0:0", "a", "ann"), heard("labels:0:1", "b", "ann", "dog"), heard("labels:0:2", "b", "bob"),
        heard("labels:0:3", "d", "bob"), heard("labels:0:4", "x", "bob"), heard("labels:0:5", "b", "ann"),
        heard("labels:0:6", "e", "cyd"),
    ],
    "examples": [
        learned("a", {"ann": "cat"}, ["labels:0:0"]),
        learned("b", {"ann": "dog", "bob": "cat"}, ["labels:0:2"], "cat"),
        amended("b", {"ann": None, "bob": "cat"}, ["labels:0:5"]),
    ],
    "dead-letters": [
        Buried("labels:0:1", "outvoted", "bob won"), Buried("labels:0:3", "abstained", ""),
        Buried("labels:0:4", "unknown-event", ""),
    ],
}  # fmt: skip


def state(store):
    return [
        rows(store, "SELECT event_id, status, asked, votes, abstained, example, closed IS NULL FROM queries ORDER BY 1"),
        rows(store, "SELECT position, at_event, record, event_id, outcome, detail FROM labels ORDER BY 1"),
        rows(store, "SELECT * FROM examples"),
    ]  # fmt: skip


ORDERS = st.permutations([topic for topic, records in HISTORY.items() for _ in records])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=ORDERS, sizes=st.lists(st.integers(1, 8), min_size=1))
def test_in_whatever_order_topics_are_read_the_file_is_the_same(order, sizes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("relayed")
    straight = RelayedStore(folder / "straight.db", CATS, "here")
    straight.take([each for records in HISTORY.values() for each in records], {})
    mixed = RelayedStore(folder / "mixed.db", CATS, "here")
    queues = {topic: iter(records) for topic, records in HISTORY.items()}
    seen = [next(queues[topic]) for topic in order]
    while seen:
        size = sizes[len(seen) % len(sizes)]
        mixed.take(seen[:size], {})
        seen = seen[size:]
    states = state(mixed), state(straight)
    straight.close()
    mixed.close()
    assert states[0] == states[1]


def test_queries_end_as_the_log_says(opened):
    store = opened()
    store.take([each for records in HISTORY.values() for each in records], {"labels:0": 7}, 123)
    assert dict(rows(store, "SELECT event_id, status FROM queries")) == {
        "a": "answered",
        "b": "erased",
        "c": "expired",
        "d": "open",
        "e": "open",
    }
    assert dict(rows(store, "SELECT position, outcome FROM labels")) == {
        "labels:0:0": "example",
        "labels:0:1": "outvoted",
        "labels:0:2": "example",
        "labels:0:3": "abstained",
        "labels:0:4": "unknown-event",
        "labels:0:5": "amendment",
        "labels:0:6": "sent",
    }
    assert store.positions() == {"labels:0": 7}
    SqliteBoard(store.path).close()
    figures = SqliteFigures(store.path)
    found = figures.read()
    figures.close()
    assert (found["events"], found["learned"]) == (123, 3)
    assert found["accuracy"]["whole"]["why_not"]
    assert found["waiting"] == pytest.approx(2.97)  # seconds, of five: from 10, 20, …, 50 to 3,000 ms
    ann = found["people"][0]
    assert (ann["name"], ann["answers"], ann["with_model"]) == ("ann", 3, None)


# ── what goes out ────────────────────────────────────────────────────────────────────────────────


def test_an_answer_is_on_its_way_until_its_outcome_is_seen_whoever_opens_the_file(opened):
    store = opened()
    store.take([asked("a"), asked("b")], {})
    boards = [SqliteBoard(store.path), SqliteBoard(store.path)]
    ask(boards[0], "ann", said("a"))
    assert store.outgoing() == []  # a draft
    ask(boards[0], "ann", leave=True)
    store.hand_over()
    (going,) = store.outgoing()
    assert (going.event_id, json.loads(going.record)["annotator"]) == ("a", "ann")
    store.hand_over()
    assert store.outgoing() == [going]

    def dealt():
        boards.append(SqliteBoard(store.path))  # which knows only what the file says
        return [[q.event_id for q in ask(board, who).cards] for board in boards for who in ("ann", "bob")]

    def all_are_dealt(*events):
        for cards in dealt():
            assert cards in ([], *([event] for event in events)), cards
        for board in boards:
            for who in ("ann", "bob"):
                ask(board, who, leave=True)

    all_are_dealt("b")
    store.take([Said("labels:0:5", going.record, "a", 0, going.id)], {})
    assert store.outgoing() == []
    assert store.settled() == {}
    all_are_dealt("b")
    store.take([learned("a", {"ann": "cat"}, ["labels:0:5"])], {})
    assert store.settled() == {going.number: "labels:0:5"}
    store.forget([going.number])
    assert store.settled() == {}
    all_are_dealt("b")
    for board in boards:
        board.close()


def test_what_was_handed_over_is_withdrawn_by_another_answer_and_what_was_not_is_taken_out(opened):
    store = opened()
    store.take([asked("a"), asked("b")], {})
    board = SqliteBoard(store.path)
    ask(board, "ann", said("a"), leave=True)
    store.hand_over()
    ask(board, "ann", said("b"), leave=True)
    done = ask(board, "ann", *(Undo(f"undo of {e}", f"key of {e}") for e in "ab")).done
    assert [each.state for each in done] == ["taken-back"] * 2
    board.tick()
    store.hand_over()
    going = [json.loads(each.record) for each in store.outgoing()]
    assert [(x["event_id"], x["label"], x["abstain"]) for x in going] == [
        ("a", "cat", None),
        ("a", None, "skip"),
    ]
    board.tick()
    assert rows(store, "SELECT event_id, undone FROM answers ORDER BY 1") == [
        ("a", "taken-back"),
        ("b", "taken-back"),
    ]
    board.close()


def test_the_next_one_finds_what_the_one_before_had_handed_over(opened):
    store = opened()
    store.take([asked("a")], {})
    board = SqliteBoard(store.path)
    ask(board, "ann", said("a"), leave=True)
    board.close()
    store.hand_over()
    before = store.outgoing()
    with pytest.raises(StoreBusyError, match="another page is being served"):
        opened()
    store.close()
    again = opened()
    assert again.outgoing() == before
    again.take([Said("labels:0:1", before[0].record, "a", 0, before[0].id)], {})
    again.take([Said("labels:0:2", before[0].record, "a", 0, before[0].id)], {})  # of one that was killed
    again.take([Buried("labels:0:2", "duplicate", ""), learned("a", {"ann": "cat"}, ["labels:0:1"])], {})
    assert again.settled() == {before[0].number: "labels:0:1"}


def test_equal_numbers_of_two_copies_are_two_answers(opened, tmp_path):
    ids = []
    for name in ("one", "other"):
        store = opened(tmp_path / f"{name}.db")
        store.take([asked("a")], {})
        board = SqliteBoard(store.path)
        answer = Answer(key=f"key of {name}", event_id="a", label='"cat"')
        ask(board, "ann", answer, leave=True)
        board.close()
        store.hand_over()
        ids += [(each.number, each.id) for each in store.outgoing()]
    assert ids[0][0] == ids[1][0]
    assert ids[0][1] != ids[1][1]


def test_only_who_waits_for_the_log_is_told_that_answers_are_unsent(opened):
    store = opened()
    store.take([asked("a"), asked("b")], {})
    board = SqliteBoard(store.path)

    def unsent(who):
        reply = ask(board, who)
        return reply.undelivered, reply.away

    ask(board, "ann", said("a"), leave=True)
    store.hand_over()
    assert unsent("ann") == (1, False)  # that takes a moment
    store.note_away(True)
    ask(board, "ann", said("b"), leave=True)
    assert [unsent("ann"), unsent("bob")] == [(2, True), (0, True)]
    (first,) = store.outgoing()
    store.take([Said("labels:0:1", first.record, "a", 0, first.id)], {})
    assert unsent("ann") == (1, True)
    figures = SqliteFigures(store.path)
    assert figures.read()["drafts"] == 1
    figures.close()
    store.note_away(False)
    assert unsent("ann") == (1, False)
    board.close()


def test_the_terminal_and_a_bridge_answer_the_same_cards(opened):
    store = opened()
    store.take([asked("a"), asked("b", utility=2.0)], {})
    terminal = Annotations(store.path, "ann")
    assert [q.event_id for q in terminal.next_queries()] == ["b"]
    terminal.draft("b", label("b", "ann"))
    terminal.close()
    store.hand_over()
    assert [(each.event_id, each.record) for each in store.outgoing()] == [("b", label("b", "ann"))]
    with Bridged(store.path, "elsewhere") as bridged:
        assert [q.event_id for q in bridged.open_queries()] == ["b", "a"]
        bridged.send([Label(event_id="a", label="dog", annotator="bob")])
    store.hand_over()
    assert [each.event_id for each in store.outgoing()] == ["b", "a"]


def test_what_is_usual_is_known_from_a_sample(opened):
    store = opened()
    store.keep_sample([EventRow(id="old", features={"x": 0.0})])
    store.keep_sample([EventRow(id=str(n), features={"x": float(n)}) for n in range(3)])
    board = SqliteBoard(store.path)
    assert sorted(each["x"] for each in board.sample(10)) == [0.0, 1.0, 2.0]
    board.close()
    store.close()
    opened()  # it is still no store of a worker


def test_neither_is_taken_for_the_other(opened, tmp_path):
    path = tmp_path / "s.db"
    SqliteStore(path, CATS).close()
    with pytest.raises(StoreError, match=r"is the store of a worker; .* \[store\] path"):
        opened(path)
    opened().close()
    with pytest.raises(StoreError, match="made with another configuration"):
        SqliteStore(tmp_path / "page.db", CATS)
    with pytest.raises(StoreError, match="is of other topics"):
        opened(origin="elsewhere")
    opened(pipeline={**CATS, "labels": {"quorum": 2}})  # the page follows the configuration
