import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_stores import CATS, GROUPED, GROUPS, rows
from rich.console import Console

from connectors.sqlite import Annotations
from stream_al import ConfigError, RecordError, StoreError
from stream_al.annotate import classes as classes_of_keys
from stream_al.annotate import words
from stream_al.cli import cards
from stream_al.cli.label import label_command
from stream_al.cli.session import Session
from stream_al.codec import EventRow
from stream_al.records import Label, Query

ROOT = Path(__file__).parents[2]
MAIN = (
    "import sys; from pathlib import Path; from stream_al.cli.label import label_command as label; "
    "sys.exit(label(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])))"
)
ENTER = "\r"


def much_later():
    return time.time() + 1000.0


# ── the labeller in a terminal ───────────────────────────────────────────────────────────────────


class Terminal:
    """A labeller in a pseudo-terminal."""

    def __init__(self, store, annotator="ann", show="after", undo=10, size=(30, 100)):
        self.child = pexpect.spawn(
            sys.executable,
            ["-W", "error", "-c", MAIN, str(store), annotator, show, str(undo)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "33"},
            dimensions=size,
            encoding="utf-8",
            timeout=30,
        )
        self.child.delaybeforesend = 0.08  # no key is held down here
        self.raw = ""

    def sees(self, *texts):
        """Wait for texts to be drawn, in this order."""
        for text in texts:
            self.child.expect(re.escape(text).replace(r"\ ", r"(?:[ \xa0]|\x1b\[[0-9;]*m)+"))
            self.raw += self.child.before + self.child.after
        return self

    def press(self, *pressed):
        for key in pressed:
            self.child.send(key)
        return self

    def ends(self):
        self.child.expect(pexpect.EOF)
        self.raw += self.child.before
        self.child.close()
        return self.child.exitstatus


@pytest.fixture
def terminal():
    opened = []

    def start(*arguments, **options):
        opened.append(Terminal(*arguments, **options))
        return opened[-1]

    yield start
    for each in opened:
        each.child.close(force=True)


def test_an_answer_can_be_of_the_card_alone_and_not_of_those_like_it(pipeline, terminal):
    p = pipeline(events=GROUPED, model=CATS, groups=GROUPS)
    screen = terminal(p.path)
    screen.sees("e01").press("o", "1").sees("e02").press("2").sees(
        "e03", "serves 2 records like it", "only this one"
    )
    screen.press("o").sees("of this one only").press("o").sees("only this one").press("o").press("1")
    screen.sees("e04").press("q")
    assert screen.ends() == 0
    assert [label.only_this for label in p.sent()] == [False, False, True]
    assert p.work().examples == 3


def test_one_key_answers_and_brings_the_next_card(pipeline, terminal):
    p = pipeline(3, CATS)
    screen = terminal(p.path)
    screen.sees("3 to answer", "e01", "cat", "dog").press("2").sees("e02", "✓ dog").press("1").sees(
        "e03", "✓ cat"
    )
    screen.press("u").sees("No open query for you", "– unsure").press("q")
    assert screen.ends() == 0
    assert "2 answered, 1 unsure in " in screen.raw
    assert p.answers() == [("e01", "dog"), ("e02", "cat"), ("e03", "unsure")]
    assert all(label.annotator == "ann" and label.timestamp is not None for label in p.sent())
    assert p.work().examples == 2


def test_the_terminal_is_left_as_it_was(pipeline, terminal):
    screen = terminal(pipeline(3, CATS).path).sees("e01").press("q")
    assert screen.ends() == 0
    for on, off in (("?1049h", "?1049l"), ("?2004h", "?2004l"), ("?25l", "?25h")):
        assert screen.raw.index(on) < screen.raw.rindex(off)


def test_undo_goes_back_to_what_is_not_sent_and_no_further(pipeline, terminal):
    p = pipeline(6, CATS)
    screen = terminal(p.path, undo=2).sees("e01")
    for number, key in enumerate("1212", 2):
        screen.press(key).sees(f"e{number:02d}", "✓")
    assert p.answers() == [("e01", "cat"), ("e02", "dog")]
    screen.press("z").sees("e04", "taken back: dog").press("z").sees("e03", "taken back: cat")
    screen.press("z").sees("Nothing to undo: older answers are sent.")
    screen.press("2").sees("e04", "✓ dog").press("q")
    assert screen.ends() == 0
    assert p.answers() == [("e01", "cat"), ("e02", "dog"), ("e03", "dog")]


def test_drafts_survive_a_kill_and_are_sent_when_the_annotator_returns(pipeline, terminal):
    p = pipeline(4, CATS)
    screen = terminal(p.path).sees("e01").press("1").sees("e02", "✓ cat").press("2").sees("e03", "✓ dog")
    screen.child.kill(signal.SIGKILL)
    screen.ends()
    assert p.answers() == []
    terminal(p.path, "bob").sees("e04").press("q").ends()  # the others are still held
    assert p.answers() == []
    terminal(p.path).sees("e03").press("q").ends()
    assert p.answers() == [("e01", "cat"), ("e02", "dog")]
    assert p.work().examples == 2


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_send_the_drafts(pipeline, terminal, end):
    p = pipeline(4, CATS)
    screen = terminal(p.path).sees("e01").press("1").sees("e02", "✓ cat")
    screen.child.kill(end)
    assert screen.ends() == 0
    assert "?1049l" in screen.raw
    assert p.answers() == [("e01", "cat")]


def test_ctrl_c_sends_the_drafts_and_ctrl_z_undoes(pipeline, terminal):
    p = pipeline(4, CATS)
    screen = terminal(p.path).sees("e01").press("1").sees("e02").press("1").sees("e03").press("\x1a")
    screen.sees("taken back: cat").press("\x03")
    assert screen.ends() == 0
    assert p.answers() == [("e01", "cat")]


def test_two_annotators_see_the_same_card_each_once(pipeline, terminal):
    p = pipeline(2, CATS, quorum=2)
    ann, bob = terminal(p.path, "ann"), terminal(p.path, "bob")
    for screen in (ann, bob):
        screen.sees("2 to answer", "e01").press("1").sees("e02", "✓ cat").press("2").sees("✓ dog")
    for screen in (ann, bob):
        screen.press(ENTER).sees("2 answers sent")
    assert sorted((label.event_id, label.annotator) for label in p.sent()) == [
        (event, who) for event in ("e01", "e02") for who in ("ann", "bob")
    ]
    assert p.work().examples == 2
    ann.sees("2 answered.").press("q")
    bob.press("q")
    assert (ann.ends(), bob.ends()) == (0, 0)


def test_nobody_sees_a_card_that_another_has_or_has_just_answered(pipeline, terminal):
    p = pipeline(3, CATS)
    ann = terminal(p.path, "ann").sees("e01").press("1").sees("e02", "✓ cat")
    bob = terminal(p.path, "bob").sees("1 to answer", "e03").press("1").sees("No open query for you")
    bob.sees("2 queries are with others").press("q")
    ann.press("q")
    assert (bob.ends(), ann.ends()) == (0, 0)
    carl = terminal(p.path, "carl").sees("1 to answer", "e02").press("q")
    assert carl.ends() == 0


def test_a_card_that_others_answered_makes_way(pipeline, terminal):
    p = pipeline(2, CATS)
    screen = terminal(p.path).sees("e01")
    other = Annotations(p.path, "bob")
    other.draft("e01", Label(event_id="e01", label="cat", annotator="bob").to_json())
    other.close()
    p.work()
    screen.sees("e02", "e01 is answered meanwhile").press("q").ends()
    assert [label.annotator for label in p.sent()] == ["bob"]


def test_an_empty_store_says_why_and_waits_for_the_worker(pipeline, terminal):
    p = pipeline(events=[])
    screen = terminal(p.path).sees("the worker has not answered any event yet")
    p.events.items += rows(1)
    p.work()
    screen.sees("e01", "No class is known yet").press("n", "owl", ENTER).sees("✓ owl", "Nothing to answer")
    screen.press("q").ends()
    assert p.answers() == [("e01", "owl")]


HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x1b[0m\x9b5n\u202e \x08[bold]text[/bold]\nnext\x00"


def test_control_characters_never_reach_the_terminal(pipeline, terminal):
    event = EventRow(
        id="e\x1b[2J01", features={"f\x1b[5m": HOSTILE}, display={"d\x07": {"k": HOSTILE}, "t": HOSTILE}
    )
    screen = (
        terminal(pipeline(events=[event]).path).sees("e01", "red", "[bold]text[/bold]", "next").press("q")
    )
    screen.ends()
    assert not re.search("owned|\x1b\\[2J01|\x1b\\[5m|\x1b\\[31m|[\x07\x08\x00\x9b\u202e]", screen.raw)


def test_ten_classes_and_more_have_two_digits_or_are_found_by_name(pipeline, terminal):
    names = [f"bird {letter}" for letter in "abcdefghijklmnop"]
    p = pipeline(4, {"classes": names, "label_type": "str"})
    screen = (
        terminal(p.path)
        .sees("e01", "16", "bird p")
        .press("1")
        .sees("Class: 1")
        .press("2")
        .sees("e02", "✓ bird l")
    )
    screen.press("9").sees("No class has the number 9").press("3")
    screen = screen.press("\x7f").press("0", "7").sees("e03", "✓ bird g")
    screen.press("/", "D o").sees("Find: D o").press(ENTER).sees("e04", "✓ bird o").press("1", ENTER)
    screen.sees("✓ bird a").press("q").ends()
    assert [answer for _, answer in p.answers()] == ["bird l", "bird g", "bird o", "bird a"]


def test_classes_that_are_numbers_are_typed_as_themselves(pipeline, terminal):
    p = pipeline(2, {"classes": list(range(40)), "label_type": "int"})
    screen = (
        terminal(p.path).sees("e01", "39").press("1", "7").sees("e02", "✓ 17").press("4").sees("No class has")
    )
    screen.press("q").ends()
    assert p.answers() == [("e01", 17)]


def test_a_new_class_of_the_wrong_type_is_refused_with_a_sentence(pipeline, terminal):
    p = pipeline(2, {"label_type": "int"})
    screen = terminal(p.path).sees("e01").press("n", "many", ENTER).sees("“many” is no whole number")
    screen.press(*"\x7f\x7f\x7f\x7f", "12", ENTER).sees("e02", "✓ 12").press("q").ends()
    assert p.answers() == [("e01", 12)]


def test_a_twin_of_a_known_class_is_asked_about(pipeline, terminal):
    p = pipeline(3)
    screen = (
        terminal(p.path).sees("e01").press("n", "cat", ENTER).sees("e02", "✓ cat").press("n", "Cat", ENTER)
    )
    screen.sees("There is cat already").press(ENTER).sees("e03", "✓ Cat").press("z").sees("taken back: Cat")
    screen.press("q").ends()
    assert p.answers() == [("e01", "cat")]


def test_a_configured_list_of_classes_is_closed(pipeline, terminal):
    screen = terminal(pipeline(2, CATS).path).sees("e01").press("n")
    screen.sees("the configuration allows no classes but cat, dog").press("q").ends()


def test_pasted_text_answers_nothing_but_can_name_a_class(pipeline, terminal):
    p = pipeline(2)
    screen = (
        terminal(p.path)
        .sees("e01")
        .press("\x1b[200~n12uusq\x1b[201~", "n", "\x1b[200~great tit\x1b[201~", ENTER)
    )
    screen.sees("e02", "✓ great tit").press("q").ends()
    assert p.answers() == [("e01", "great tit")]


def test_long_cards_scroll_and_the_classes_stay_in_sight_at_any_size(pipeline, terminal):
    events = [EventRow(id="e01", features={"text": "word " * 3000 + "end", "x": 1.0})]
    p = pipeline(events=events, model=CATS)
    screen = terminal(p.path, size=(20, 60)).sees("more lines", "cat", "dog")
    for size in ((8, 24), (3, 10), (50, 160)):
        screen.child.setwinsize(*size)
    screen.sees("stream-al label", "cat", "quit").press(*["\x1b[6~"] * 4).sees("end", "cat").press("1")
    screen.sees("✓ cat").press("q").ends()
    assert p.answers() == [("e01", "cat")]


def test_the_prediction_is_shown_when_it_was_asked_for(pipeline, terminal):
    p = pipeline(1, CATS)
    teach = Annotations(p.path, "carl")
    teach.draft("e01", Label(event_id="e01", label="cat", annotator="carl").to_json())
    teach.close()
    p.work()
    p.events.items += [EventRow(id=f"f{n}", features={"x": 1.0}) for n in range(4)]
    p.work()
    after = (
        terminal(p.path, "after", "after")
        .sees("f0")
        .press("1")
        .sees("f1", "the model had said so too (100 %)")
    )
    after.press("2").sees("f2", "the model had said cat (100 %)").press("q").ends()
    never = terminal(p.path, "never", "never").sees("f2").press("1").sees("f3", "✓ cat").press("q")
    never.ends()
    assert "the model had said" not in never.raw
    terminal(p.path, "before", "before").sees("f3", "Before you answer: the model had said cat").press(
        "q"
    ).ends()


# ── the labeller in a script ─────────────────────────────────────────────────────────────────────


def script(store, lines, annotator="ann", show="after", undo=10):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", MAIN, str(store), annotator, show, str(undo)],
        input=lines,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )


def test_lines_answer_without_a_terminal(pipeline):
    p = pipeline(6, CATS)
    done = script(p.path, "cat\n2\nu\ns\nz\n?\n\nbird\nn bird\ndog\n=cat")
    assert (done.returncode, done.stderr) == (0, "")
    assert p.answers() == [("e01", "cat"), ("e02", "dog"), ("e03", "unsure"), ("e04", "dog"), ("e05", "cat")]
    assert "“bird” is no class here" in done.stdout
    assert "allows no classes but cat, dog" in done.stdout
    assert "4 answered, 1 unsure" in done.stdout
    assert "\x1b" not in done.stdout


def test_lines_end_when_nothing_is_left_and_say_why(pipeline):
    p = pipeline(2, CATS)
    done = script(p.path, "cat\n" * 9)
    assert done.returncode == 0
    assert "You have given your answer to the 2 queries still open." in done.stdout
    assert p.work().examples == 2
    done = script(p.path, "")
    assert "No open query. The worker has answered 2 events and asked about 2: 2 answered." in done.stdout
    assert "Nothing answered." in done.stdout


def test_lines_quit_and_new_classes(pipeline):
    p = pipeline(4)
    done = script(p.path, "n u\n=u\nn 7\nq\ncat\n")
    assert done.returncode == 0
    assert p.answers() == [("e01", "u"), ("e02", "u"), ("e03", 7)]
    assert p.work().examples == 2
    assert "“7” is no class here" in script(p.path, "7\n").stdout, "the first examples fixed the type: text"


def test_hostile_text_is_harmless_in_lines_too(pipeline):
    done = script(pipeline(events=[EventRow(id="e\x1b[2J01", features={"f\x1b[5m": HOSTILE})]).path, "")
    assert not re.search("owned|[\x1b\x07\x08\x00\x9b\u202e]", done.stdout)


def test_a_reader_that_goes_away_does_not_cost_the_answers(pipeline):
    p = pipeline(40, CATS)
    command = [sys.executable, "-c", MAIN, str(p.path), "ann", "never", "10"]
    reader, writer = os.pipe()
    os.close(reader)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, input=b"cat\n" * 3, stdout=writer, stderr=subprocess.PIPE, env=env, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_cannot_be_used_is_an_error_of_ours(tmp_path, pipeline):
    with pytest.raises(StoreError, match="no such store"):
        label_command(tmp_path / "none.db", "ann", "after", 10)
    path = pipeline(1).path
    for arguments in (
        ("", "after", 1),
        ("a" * 300, "after", 1),
        ("ann", "sometimes", 1),
        ("ann", "after", -1),
    ):
        with pytest.raises(ConfigError):
            label_command(path, *arguments)


# ── parts ────────────────────────────────────────────────────────────────────────────────────────


def test_a_class_keeps_its_key_while_others_appear(pipeline):
    p = pipeline(3)
    annotations = Annotations(p.path, "ann")
    session = Session(annotations)
    session.look()
    for name in ("dog", "cat"):
        session.answer(session.class_from(name))
    assert session.classes == ["dog", "cat"]
    session.undo()
    assert session.classes == ["dog"]
    annotations.close()


def test_classes_outlive_the_sitting_before_anything_is_learned(pipeline):
    p = pipeline(3, quorum=2)
    assert script(p.path, "n owl\nn 5\n").returncode == 0
    p.work()
    annotations = Annotations(p.path, "ann")
    assert annotations.classes() == [5, "owl"]
    assert annotations.label_type() is None
    annotations.close()


def test_an_answer_that_came_too_late_is_not_sent(pipeline):
    p = pipeline(1, CATS)
    ann = Session(Annotations(p.path, "ann"))
    bob = Session(Annotations(p.path, "bob", now=much_later))  # when ann's time for the card is over
    for session in (ann, bob):
        session.look()
    bob.answer("cat")
    bob.send()
    p.work()
    ann.answer("dog")
    assert "Your answer was not needed" in ann.notice.plain
    for session in (ann, bob):
        session.annotations.close()
    assert [label.annotator for label in p.sent()] == ["bob"]


def test_undoing_what_others_closed_meanwhile_says_so(pipeline):
    p = pipeline(1, CATS)
    ann = Session(Annotations(p.path, "ann"))
    ann.look()
    ann.answer("dog")
    bob = Session(Annotations(p.path, "bob", now=much_later))
    bob.look()
    bob.answer("cat")
    bob.annotations.close()
    p.work()
    ann.undo()
    assert ann.card is None
    assert ann.notice.plain == "e01 is answered meanwhile. Your answer is taken back."
    ann.annotations.close()


def test_a_failed_write_leaves_the_store_usable(pipeline):
    p = pipeline(2, CATS)
    annotations = Annotations(p.path, "ann")
    annotations._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError):
        annotations.draft("e01", Label(event_id="e01", label="cat").to_json())
    annotations._connection.execute("PRAGMA query_only = OFF")
    annotations.draft("e01", Label(event_id="e01", label="cat", annotator="ann").to_json())
    annotations.close()
    assert p.answers() == [("e01", "cat")]


def test_what_others_put_into_the_inbox_does_not_stop_annotators(pipeline):
    p = pipeline(2, CATS)
    for record in (b"not json", b"{}", b'{"label": "cat"}', b"\xff"):
        p.store.connection.execute("INSERT INTO inbox (record) VALUES (?)", (record,))
    annotations = Annotations(p.path, "anonymous")
    assert [query.event_id for query in annotations.next_queries(9)] == ["e01", "e02"]
    assert annotations.standing().on_their_way == 0
    annotations.close()


@pytest.mark.parametrize(
    ("text", "kind", "label"),
    [
        ("cat", None, "cat"),
        ("-3", "int", -3),
        ("TRUE", "bool", True),
        ("true", None, True),
        (' "7" ', None, "7"),
    ],
)
def test_a_typed_class_becomes_a_label(text, kind, label):
    found = classes_of_keys.class_of(text, kind)
    assert (type(found), found) == (type(label), label)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("", "str"), ("", None), ("x" * 257, "str"), ("1.0", "int"), ("9" * 19, "int"), ("yes", "bool")],
)
def test_what_cannot_be_a_class_is_refused(text, kind):
    with pytest.raises(RecordError):
        classes_of_keys.class_of(text, kind)


@given(
    st.lists(
        st.one_of(st.text(min_size=1, max_size=3), st.integers(0, 1200)), unique_by=lambda c: (type(c), c)
    )
)
def test_every_class_has_a_key_of_its_own_and_none_is_the_start_of_another(classes):
    found = classes_of_keys.codes(classes)
    assert list(found.values()) == classes
    assert len({len(code) for code in found}) <= 1


def test_names_that_start_with_the_text_come_first():
    found = classes_of_keys.matching({"1": "great tit", "2": "Titmouse", "3": "owl"}, "tit")
    assert list(found.values()) == ["Titmouse", "great tit"]


@given(st.text())
def test_plain_text_has_no_control_characters_left(text):
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", words.plain(text))


@given(
    st.dictionaries(st.text(min_size=1), st.one_of(st.text(), st.floats(), st.integers()), min_size=1),
    st.integers(12, 200),
)
def test_every_feature_is_shown_within_the_width(features, width):
    lines = cards.fields(features, Console(width=width), width)
    shown = "\n".join(line.plain for line in lines)
    assert all(cards.one_line(name, 32).strip() in shown for name in features)
    assert max(line.cell_len for line in lines) <= max(width, 70)


def test_why_an_event_is_asked_is_said_in_words():
    fields = {
        "event_id": "e",
        "features": {"x": 1},
        "predicted": "a",
        "probabilities": {"a": 0.55},
        "propensity": 1.0,
    }
    query = Query(
        **fields, utility=0.93, threshold=0.88, reason="uncertain", model_version=120, event_number=9
    )
    assert words.why(query) == (
        "Asked because: the model is unsure (a label is worth 0.93, it asks above 0.88). "
        "The model had learned 120 examples (version 120)."
    )
    assert words.model_said(query, "b") == "the model had said a (55 %)"
    assert json.loads(query.to_json())["reason"] == "uncertain"
