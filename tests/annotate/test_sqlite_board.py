"""The store as the page's server sees it: who gets which card, and what becomes of what they say."""

import json
import sqlite3
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from labelled_stores import CATS, GROUPED, GROUPS, Pipeline, rows

from connectors.sqlite import Annotations, SqliteLabels
from connectors.sqlite.board import IDLE, IDLE_EMPTY, SqliteBoard
from connectors.sqlite.sharing import LEASE_SECONDS
from stream_al import ConfigError
from stream_al.annotate.board import Answer, Request, Undo

_keys = iter(range(10**9))


def key():
    return f"key-{next(_keys):08d}"


def answer(event_id, label="cat", **more):
    if label is not None:
        more["label"] = json.dumps(label)
    return Answer(key=key(), event_id=event_id, **more)


class Clock:
    def __init__(self):
        self.at = 1_700_000_000.0

    def __call__(self):
        return self.at


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def boards(clock):
    made = []

    def make(path, **more):
        made.append(SqliteBoard(path, now=clock, **more))
        return made[-1]

    yield make
    for board in made:
        board.close()


def ask(board, who, *operations, have=(), want=3, leave=False):
    (reply,) = board.apply([(who, Request(operations, tuple(have), want, leave))])
    if isinstance(reply, Exception):
        raise reply
    return reply


def ids(reply):
    return [query.event_id for query in reply.cards]


# ── who gets which card ──────────────────────────────────────────────────────────────────────────


def test_two_servers_and_the_terminal_never_give_one_card_to_two(pipeline, boards, clock):
    p = pipeline(9, CATS)
    one, other = boards(p.path), boards(p.path)
    terminal = Annotations(p.path, "carl", now=clock)
    ann, bob = ids(ask(one, "ann")), ids(ask(other, "bob"))
    carl = [query.event_id for query in terminal.next_queries(3)]
    assert sorted(ann + bob + carl) == [f"e{n:02d}" for n in range(1, 10)]
    assert ids(ask(one, "dora")) == []
    terminal.close()
    assert ids(ask(one, "dora")) == carl


def test_a_card_is_kept_while_its_page_is_heard_of_and_given_on_when_it_is_not(pipeline, boards, clock):
    p = pipeline(3, CATS)
    board = boards(p.path)
    mine = ids(ask(board, "ann"))
    for _ in range(5):
        clock.at += 0.5 * LEASE_SECONDS
        assert ids(ask(board, "ann", have=mine)) == []
        assert ids(ask(board, "bob")) == []
    clock.at += LEASE_SECONDS + 1.0
    assert ids(ask(board, "bob")) == mine
    late = ask(board, "ann", have=mine)
    assert list(late.gone.values()) == ["with somebody else by now"] * 3


def test_a_quorum_gives_a_card_to_as_many_as_it_needs(pipeline, boards):
    p = pipeline(1, CATS, quorum=2)
    board = boards(p.path)
    assert [ids(ask(board, who)) for who in ("ann", "bob", "carl")] == [["e01"], ["e01"], []]
    ask(board, "ann", answer("e01"), leave=True)
    p.work()
    assert ids(ask(board, "carl")) == []  # ann's vote and bob's lease are the two
    ask(board, "bob", leave=True)
    assert ids(ask(board, "carl")) == ["e01"]


def test_it_is_never_empty_while_there_is_unlocked_work_and_says_why_it_is(pipeline, boards):
    p = pipeline(4, CATS)
    board = boards(p.path)
    ann = ids(ask(board, "ann", want=4))
    empty = ask(board, "bob").empty
    assert empty.held == 4
    assert empty.held_until
    ask(board, "ann", have=ann[:3], want=0)
    assert ids(ask(board, "bob")) == ann[3:]


def test_the_most_valuable_come_first(pipeline, boards):
    p = pipeline(5, CATS)
    with p.store.connection as connection:
        connection.execute("UPDATE queries SET utility = 2.0 WHERE event_id = 'e04'")
    assert ids(ask(boards(p.path), "ann")) == ["e04", "e01", "e02"]


# ── what becomes of what is said ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("only_this", [False, True])
def test_a_card_says_for_how_many_it_stands_and_an_answer_can_be_of_it_alone(pipeline, boards, only_this):
    p = pipeline(events=GROUPED, model=CATS, groups=GROUPS)
    board = boards(p.path)
    reply = ask(board, "ann", want=10)
    assert reply.waiting == {"e03": 2}
    ask(board, "ann", answer("e03", "cat", only_this=only_this), leave=True)
    assert p.work().examples == (1 if only_this else 3)
    (label,) = p.sent()
    assert label.only_this == only_this
    assert ask(board, "bob", want=10).waiting == {}


def test_sending_an_answer_again_does_nothing(pipeline, boards):
    p = pipeline(2, CATS)
    said = answer("e01")
    replies = [ask(boards(p.path), "ann", said).done for _ in range(3)]
    assert replies[0] == replies[1] == replies[2]
    assert len(p.drafts()) == 1
    with pytest.raises(ValueError, match="another's answer"):
        ask(boards(p.path), "bob", said)


def test_one_request_that_cannot_be_done_changes_nothing_and_stops_no_other(pipeline, boards):
    p = pipeline(3, CATS)
    board = boards(p.path)
    said = answer("e01")
    ask(board, "ann", said)
    bad = Request((answer("e02"), said))  # the key of another's answer
    good = Request((answer("e03"),))
    failed, done = board.apply([("bob", bad), ("carl", good)])
    assert isinstance(failed, ValueError)
    assert [x.state for x in done.done] == ["kept"]
    assert [(d["event_id"], d["annotator"]) for d in p.drafts()] == [("e01", "ann"), ("e03", "carl")]


def test_answers_are_sent_when_ten_have_followed_or_nobody_answers_for_a_while(pipeline, boards, clock):
    p = pipeline(15, CATS)
    board = boards(p.path)
    for n in range(1, 13):
        ask(board, "ann", answer(f"e{n:02d}"))
    assert p.answers() == [("e01", "cat"), ("e02", "cat")]
    clock.at += IDLE - 1.0
    board.tick()
    assert len(p.answers()) == 2
    clock.at += 1.0
    board.tick()
    assert len(p.answers()) == 12


def test_who_has_nothing_left_is_waited_for_less(pipeline, boards, clock):
    p = pipeline(1, CATS)
    board = boards(p.path)
    assert ask(board, "ann", answer("e01")).empty is not None
    clock.at += IDLE_EMPTY
    board.tick()
    assert p.answers() == [("e01", "cat")]


def test_a_draft_and_a_label_in_the_inbox_are_taken_back_without_a_trace(pipeline, boards):
    p = pipeline(3, CATS)
    board = boards(p.path)
    draft, sent = answer("e01"), answer("e02", "dog")
    ask(board, "ann", draft)
    ask(board, "ann", Undo(key(), draft.key))
    ask(board, "ann", sent, leave=True)
    assert p.answers() == [("e02", "dog")]
    reply = ask(board, "ann", Undo(key(), sent.key), have=["e02"])
    assert [d.state for d in reply.done] == ["taken-back"]
    assert reply.gone == {}
    p.work()
    assert p.ledger() == []
    ask(board, "ann", answer("e02", "cat"), leave=True)
    p.work()
    assert p.ledger() == [("e02", "example")]


class Interrupted(SqliteLabels):
    """Labels that somebody takes back between the worker's reading and its commit."""

    meanwhile = None

    def poll(self, events):
        found = super().poll(events)
        if found and self.meanwhile:
            self.meanwhile()
            self.meanwhile = None
        return found


@pytest.mark.parametrize("again", [False, True])
def test_a_label_taken_back_while_the_worker_was_reading_it_is_withdrawn(pipeline, boards, again):
    p = pipeline(2, CATS, quorum=2, labels=Interrupted)
    board = boards(p.path)
    said = answer("e01")
    ask(board, "ann", said, leave=True)
    undo = Undo(key(), said.key)
    p.labels.meanwhile = lambda: ask(board, "ann", undo, *([answer("e01", "dog")] if again else []))
    p.work()
    assert p.ledger() == [("e01", "waiting")]
    board.tick()
    ask(board, "ann", leave=True)
    p.work()
    outcomes = [outcome for _, outcome in p.ledger()]
    assert outcomes == (["replaced", "waiting"] if again else ["replaced", "abstained"])


def test_a_vote_that_waits_for_others_is_withdrawn(pipeline, boards):
    p = pipeline(2, CATS, quorum=2)
    board = boards(p.path)
    said = answer("e01")
    ask(board, "ann", said, leave=True)
    p.work()
    reply = ask(board, "ann", Undo(key(), said.key), have=["e01"])
    assert ([d.state for d in reply.done], reply.gone) == (["taken-back"], {})
    p.work()
    assert dict(p.ledger()) == {"e01": "abstained"}
    ask(board, "ann", answer("e01", "dog"), leave=True)
    ask(board, "bob", answer("e01", "dog"), leave=True)
    p.work()
    assert Counter(outcome for _, outcome in p.ledger())["example"] == 2


def test_what_was_learned_is_corrected_by_another_answer(pipeline, boards):
    p = pipeline(2, CATS)
    board = boards(p.path)
    said = answer("e01")
    ask(board, "ann", said, leave=True)
    p.work()
    assert [d.state for d in ask(board, "ann", Undo(key(), said.key)).done] == ["learned"]
    assert [d.state for d in ask(board, "ann", answer("e01", "dog")).done] == ["correction"]
    assert [d.state for d in ask(board, "bob", answer("e01", "dog")).done] == ["late"]
    p.work()
    assert [o for _, o in p.ledger()] == ["example", "amendment", "already-answered"]


def test_what_cannot_be_a_label_is_refused_with_the_reason(pipeline, boards):
    p = pipeline(3, CATS)
    board = boards(p.path)
    wrong = [
        answer("e01", "lynx"),
        answer("e01", 1),
        answer("e01", None),
        answer("e01", "cat", abstain="skip"),
    ]
    done = ask(board, "ann", *wrong).done
    assert [d.state for d in done] == ["refused"] * 4
    assert "allows no such class" in done[0].said
    assert "this pipeline's classes are str, not int" in done[1].said
    assert p.drafts() == []


def test_integers_and_booleans_keep_their_type(pipeline, boards):
    p = pipeline(3, {"label_type": "int"})
    board = boards(p.path)
    ask(board, "ann", answer("e01", 9007199254740993), answer("e02", None, new_class="7"), leave=True)
    assert p.answers() == [("e01", 9007199254740993), ("e02", 7)]
    assert board.classes().known == (7, 9007199254740993)


def test_a_class_keeps_its_place_when_others_come(pipeline, boards, clock):
    p = pipeline(4)
    board = boards(p.path)
    ask(board, "ann", answer("e01", None, new_class="m"))
    assert board.classes().known == ("m",)
    ask(board, "ann", answer("e02", None, new_class="a"))
    clock.at += 10.0
    assert board.classes().known == ("m", "a")


def test_a_store_whose_labels_come_from_elsewhere_is_refused(pipeline):
    p = pipeline(1, CATS)
    p.store.note_label_source("file")
    with pytest.raises(ConfigError, match="takes labels from elsewhere"):
        SqliteBoard(p.path)


# ── whatever happens ─────────────────────────────────────────────────────────────────────────────


class Annotating(RuleBasedStateMachine):
    """Two servers, three annotators who answer, take back, send twice and leave, and a worker, in any order."""

    PEOPLE = st.sampled_from(["ann", "bob", "carl"])

    @initialize(quorum=st.integers(1, 2), undo=st.integers(0, 3))
    def begin(self, quorum, undo):
        import tempfile
        from pathlib import Path

        self.folder = tempfile.TemporaryDirectory()
        self.quorum, self.clock = quorum, Clock()
        self.pipeline = Pipeline(Path(self.folder.name) / "p.db", rows(6), CATS, quorum)
        self.boards = [SqliteBoard(self.pipeline.path, undo=undo, now=self.clock) for _ in range(2)]
        self.cards = {"ann": [], "bob": [], "carl": []}
        self.heard = dict.fromkeys(self.cards, self.clock.at)
        self.said = {}  # the answers that stand: by annotator and event
        self.log = []

    def ask(self, who, server, *operations, **more):
        reply = ask(self.boards[server], who, *operations, have=self.cards[who], **more)
        self.heard[who] = self.clock.at
        self.cards[who] = [event for event in self.cards[who] if event not in reply.gone] + ids(reply)
        return reply

    @rule(
        who=PEOPLE, server=st.integers(0, 1), label=st.sampled_from(["cat", "dog", None]), twice=st.booleans()
    )
    def say(self, who, server, label, twice):
        if not self.cards[who]:
            self.ask(who, server)
            return
        event = self.cards[who].pop(0)
        said = answer(event, label) if label else answer(event, None, abstain="unsure")
        (done,) = self.ask(who, server, said).done
        if twice:
            assert self.ask(who, 1 - server, said).done == [done]
        self.log.append((who, event, said))
        if done.state == "kept":
            self.said[who, event] = said.key

    @rule(who=PEOPLE, server=st.integers(0, 1), back=st.integers(0, 4))
    def undo(self, who, server, back):
        mine = [(event, said) for name, event, said in self.log if name == who]
        if len(mine) <= back:
            return
        event, said = mine[-1 - back]
        (done,) = self.ask(who, server, Undo(f"undo {said.key}", said.key)).done
        if done.state == "taken-back" and self.said.get((who, event)) == said.key:
            del self.said[who, event]

    @rule(who=PEOPLE, server=st.integers(0, 1))
    def leave(self, who, server):
        self.ask(who, server, leave=True)
        self.cards[who] = []

    @rule()
    def work(self):
        self.pipeline.work()

    @rule(seconds=st.sampled_from([1.0, 100.0, 500.0]))
    def time_passes(self, seconds):
        self.clock.at += seconds
        for board in self.boards:
            board.tick()

    @invariant()
    def nobody_has_a_card_too_many(self):
        """Of those who were heard of lately no more have a card than it needs answers."""
        now = self.clock.at
        holders = Counter(
            event
            for who, cards in self.cards.items()
            if now - self.heard[who] < LEASE_SECONDS
            for event in cards
        )
        assert all(count <= self.quorum for count in holders.values()), holders

    @invariant()
    def what_stands_is_there_once(self):
        connection = sqlite3.connect(self.pipeline.path)
        rows = connection.execute("SELECT record FROM drafts UNION ALL SELECT record FROM inbox").fetchall()
        connection.close()
        there = Counter(json.loads(record).get("page", {}).get("answer") for (record,) in rows)
        assert all(there[key] == 1 for key in self.said.values())

    def teardown(self):
        if not hasattr(self, "folder"):
            return
        for who in self.cards:
            self.ask(who, 0, leave=True)
        self.pipeline.work()
        outcomes = Counter(outcome for _, outcome in self.pipeline.ledger())
        read = self.pipeline.store.connection.execute("SELECT count(*) FROM inbox").fetchone()[0]
        assert outcomes.total() == read  # every label sent ended in one outcome
        for board in self.boards:
            board.close()
        self.pipeline.store.close()
        self.folder.cleanup()


Annotating.TestCase.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnnotating = Annotating.TestCase
