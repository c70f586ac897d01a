import json
import sqlite3
from collections.abc import Iterator
from itertools import count

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from label_studio_server import CONFIG, TOKEN, StudioServer
from labelled_stores import CATS, Pipeline, rows

from connectors.label_studio import Bridge, LabelStudio, control_of
from connectors.label_studio.client import ATTEMPTS, PAGE
from connectors.sqlite.bridged import Bridged
from stream_al.codec import EventRow
from stream_al.errors import ConfigError, ServiceError, SourceError, StoreBusyError


class Killed(BaseException):
    """The death of the bridge."""


class Ends:
    """Both ends of a bridge: a pipeline and a project."""

    def __init__(self, path, events=3, quorum=1, model=CATS, studio=None, rows_=None):
        self.pipeline = Pipeline(
            path / "pipeline.db", rows(events) if rows_ is None else rows_, model, quorum
        )
        self.studio = studio or StudioServer()
        self.slept = []
        self._client = None

    def bridged(self):
        return Bridged(self.pipeline.path, "test")

    def client(self):
        return LabelStudio(self.studio.url, 1, self.studio.token, sleep=self.slept.append)

    def round(self, **options):
        """Do one round as a process of its own does it."""
        self._client = client = self._client or self.client()  # making one takes httpx a quarter of a second
        with self.bridged() as book:
            config = client.settings()["label_config"]
            control = control_of(config, book.classes(), book.label_type(), closed=book.closed)
            return Bridge(client, book, control, **options).round()

    def sent(self):
        return [
            (x.event_id, x.annotator.removeprefix("label-studio:"), x.abstain if x.label is None else x.label)
            for x in self.pipeline.sent()
        ]

    def close(self):
        if self._client is not None:
            self._client.close()
        self.pipeline.store.close()
        self.studio.close()


@pytest.fixture
def make(tmp_path) -> Iterator:
    made = []

    def ends(**options):
        made.append(Ends(tmp_path, **options))
        return made[-1]

    yield ends
    for one in made:
        one.close()


# ── tasks ────────────────────────────────────────────────────────────────────────────────────────


def test_open_queries_become_tasks_once(make):
    ends = make(events=3)
    assert ends.round().imported == 3
    task = ends.studio.task_of("e02")
    assert task["data"] == {"features": {"x": 2.0}, "x": 2.0, "query_id": "e02"}
    assert task["meta"]["reason"] == "cold-start"
    assert not ends.round()
    assert sorted(ends.studio.query_ids()) == ["e01", "e02", "e03"]


def test_what_is_for_display_stands_in_the_task_and_the_id_is_never_hidden(make):
    event = EventRow(id="e1", features={"x": 1.0, "query_id": 7.0}, display={"text": "<b>hi</b>", "x": "one"})
    ends = make(rows_=[event])
    ends.round()
    data = ends.studio.task_of("e1")["data"]
    assert data == {
        "features": {"query_id": 7.0, "x": 1.0},
        "x": "one",
        "text": "<b>hi</b>",
        "query_id": "e1",
    }


def test_predictions_bear_one_version_whatever_the_models(make):
    ends = make(events=1)
    control = control_of(CONFIG, ["cat", "dog"])
    with ends.bridged() as book:
        (query,) = book.open_queries()
    for version, predicted in enumerate(["cat", "dog"]):
        given_ = {"predicted": predicted, "probabilities": {"cat": 0.6, "dog": 0.4}, "model_version": version}
        task = control.task(query.model_copy(update=given_), predictions=True)
        (prediction,) = task["predictions"]
        assert (prediction["model_version"], prediction["score"]) == ("stream-al", [0.6, 0.4][version])
        assert prediction["result"] == [
            {"from_name": "kind", "to_name": "row", "type": "choices", "value": {"choices": [predicted]}}
        ]
        assert "predictions" not in control.task(query.model_copy(update=given_), predictions=False)
    emu = query.model_copy(update={"predicted": "emu"})
    assert "predictions" not in control.task(emu, predictions=True)


def test_more_tasks_than_fit_a_page_or_an_import_are_each_made_once(make):
    ends = make(events=3 * PAGE)
    made = ends.round().imported
    assert made == len(set(ends.studio.query_ids())) > 2 * PAGE
    ends.studio.calls.clear()
    assert not ends.round()
    assert ends.studio.calls.count(("GET", "/api/tasks/")) == 3


def test_a_task_deleted_while_pages_are_turned_hides_no_other(make):
    ends = make(events=PAGE + 10)
    ends.round()
    listed = count()

    def after(method, path):
        if (method, path) == ("GET", "/api/tasks/") and next(listed) == 0:
            del ends.studio.tasks[min(ends.studio.tasks)]
        return True

    ends.studio.after = after
    assert not ends.round()
    assert len(ends.studio.query_ids()) == len(set(ends.studio.query_ids())) == PAGE + 9


def test_a_task_that_was_deleted_is_made_again_while_its_query_is_open(make):
    ends = make(events=2)
    ends.round()
    del ends.studio.tasks[1]
    assert ends.round().imported == 1


def test_an_event_without_what_the_interface_shows_is_named_once_and_holds_up_nobody(make):
    studio = StudioServer(CONFIG.replace("$features", "$text"))
    events = [
        EventRow(id="e1", features={"x": 1.0}),
        EventRow(id="e2", features={"x": 1.0}, display={"text": "hi"}),
    ]
    ends = make(rows_=events, studio=studio)
    with ends.client() as client, ends.bridged() as book:
        bridge = Bridge(client, book, control_of(studio.config, ["cat", "dog"]))
        first, second = bridge.round(), bridge.round()
    assert first.imported == 1
    assert "e1: no task, as the labelling interface shows text" in first.notices[0]
    assert not second


def test_tasks_nobody_answered_are_deleted_when_their_query_is_closed_and_others_stay(make):
    ends = make(events=3)
    ends.round()
    ends.studio.annotate("e01", "cat")
    ends.studio.tasks[3]["draft_exists"] = True  # somebody has begun
    ends.round()
    with sqlite3.connect(ends.pipeline.path) as connection:
        connection.execute("UPDATE queries SET status = 'expired'")
    connection.close()
    assert ends.round().deleted == 1
    assert sorted(ends.studio.tasks) == [1, 3]


def test_tasks_that_are_not_ours_are_left_alone(make):
    ends = make(events=1)
    ends.studio.add({"data": {"features": {}, "query_id": "somebody-elses"}})
    ends.studio.add({"data": {"features": {}}})
    ends.studio.add({"data": {"features": {}, "query_id": ["e01"]}})
    ends.studio.annotate("somebody-elses", "cat")
    done = ends.round()
    assert (done.imported, done.labels, done.deleted) == (1, 0, 0)
    assert len(ends.studio.tasks) == 4


def test_of_tasks_made_twice_one_is_left_and_no_answer_is_lost(make):
    ends = make(events=2)
    ends.round()
    for task in list(ends.studio.tasks.values()):
        ends.studio.add(task)
    ends.studio.annotate("e02", "dog")
    assert ends.round().deleted == 2
    assert sorted(ends.studio.query_ids()) == ["e01", "e02"]
    assert ends.sent() == [("e02", "1", "dog")]


# ── answers ──────────────────────────────────────────────────────────────────────────────────────


def test_annotations_become_labels_once_with_their_time(make):
    ends = make(events=2)
    ends.round()
    ends.studio.annotate("e01", "cat")
    ends.studio.annotate("e02", "dog")  # an alias
    assert ends.round().labels == 2
    assert not ends.round()
    assert ends.sent() == [("e01", "1", "cat"), ("e02", "1", "dog")]
    assert [x.timestamp.isoformat() for x in ends.pipeline.sent()] == [
        ends.studio.task_of(event)["annotations"][0]["updated_at"].replace("Z", "+00:00")
        for event in ("e01", "e02")
    ]
    ends.pipeline.work()
    assert ends.pipeline.ledger() == [("e01", "example"), ("e02", "example")]


def test_a_skip_an_empty_answer_and_several_choices_are_abstentions(make):
    ends = make(events=3)
    ends.round()
    ends.studio.annotate("e01", skip=True)
    ends.studio.annotate("e02")
    ends.studio.annotate("e03", "cat", "dog")
    ends.round()
    assert ends.sent() == [("e01", "1", "skip"), ("e02", "1", "unsure"), ("e03", "1", "unsure")]


def test_several_annotations_are_several_annotators_and_of_one_the_last_counts(make):
    ends = make(events=1, quorum=2)
    ends.round()
    ends.studio.annotate("e01", "dog", by=7)
    ends.studio.annotate("e01", "cat", by=7)
    ends.studio.annotate("e01", skip=True, by=7)  # who has answered has not skipped
    ends.studio.annotate("e01", "cat", by=8)
    ends.round()
    assert ends.sent() == [("e01", "7", "cat"), ("e01", "8", "cat")]
    ends.pipeline.work()
    assert ends.pipeline.ledger() == [("e01", "example"), ("e01", "example")]


def test_an_edit_amends_what_was_learned(make):
    ends = make(events=2)
    ends.round()
    number = ends.studio.annotate("e01", "cat")
    ends.round()
    ends.pipeline.work()
    ends.studio.edit(number, "dog")
    assert ends.round().labels == 1
    ends.pipeline.work()
    assert ends.pipeline.ledger() == [("e01", "example"), ("e01", "amendment")]
    assert ends.pipeline.worker.learner.model.version == 2


def test_a_deleted_annotation_is_taken_back_and_a_new_one_comes_back(make):
    ends = make(events=2)
    ends.round()
    number = ends.studio.annotate("e01", "cat")
    ends.round()
    ends.pipeline.work()
    ends.studio.delete_annotation(number)
    assert ends.round().labels == 1
    ends.pipeline.work()
    assert not ends.round()  # its task stays, for another answer
    with ends.bridged() as book:
        assert book.classes() == ["cat", "dog"]  # what erases is no class
    ends.studio.annotate("e01", "dog")
    ends.round()
    ends.pipeline.work()
    assert ends.sent() == [("e01", "1", "cat"), ("e01", "1", "skip"), ("e01", "1", "dog")]
    assert [outcome for _, outcome in ends.pipeline.ledger()] == ["example", "amendment", "amendment"]


def test_a_deleted_skip_and_a_deleted_task_say_nothing(make):
    ends = make(events=2)
    ends.round()
    skipped = ends.studio.annotate("e01", skip=True)
    ends.studio.annotate("e02", "cat")
    ends.round()
    ends.pipeline.work()
    ends.studio.delete_annotation(skipped)
    del ends.studio.tasks[ends.studio.task_of("e02")["id"]]
    assert ends.round().labels == 0


@pytest.mark.parametrize(
    ("choices", "kind", "said", "expected"),
    [
        ("0 1", None, "1", 1),
        ("0 1", "str", "1", "1"),
        ("true false", None, "false", False),
        ("1 many", None, "1", "1"),
    ],
)
def test_choices_are_classes_of_the_pipelines_type(make, choices, kind, said, expected):
    tags = "".join(f'<Choice value="{text}"/>' for text in choices.split())
    config = f'<View><Table name="row" value="$features"/><Choices name="kind" toName="row">{tags}</Choices></View>'
    ends = make(events=1, model={"label_type": kind} if kind else {}, studio=StudioServer(config))
    ends.round()
    ends.studio.annotate("e01", said)
    ends.round()
    (label,) = ends.pipeline.sent()
    assert (type(label.label), label.label) == (type(expected), expected)


# ── whatever dies ────────────────────────────────────────────────────────────────────────────────


def _story(ends):
    """Do what a day brings, a round after each; return what there is at the end."""
    yield
    first = ends.studio.annotate("e01", "cat")
    ends.studio.annotate("e02", skip=True)
    yield
    ends.pipeline.work()
    ends.studio.edit(first, "dog")
    second = ends.studio.annotate("e03", "cat", by=2)
    yield
    ends.pipeline.work()
    ends.studio.delete_annotation(second)
    yield
    ends.pipeline.work()


EXPECTED = [
    ("e01", "1", "cat"),
    ("e02", "1", "skip"),
    ("e01", "1", "dog"),
    ("e03", "2", "cat"),
    ("e03", "2", "skip"),
]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_bridge_killed_at_any_request_does_everything_once(make, monkeypatch, when):
    """It dies at the first request, then, started again, at its second, and so on."""
    ends = make(events=4)
    real = httpx.HTTPTransport.handle_request
    state = {"asked": 0, "die_at": 0}

    def handle(self, request):
        state["asked"] += 1
        dies = state["asked"] == state["die_at"]
        if dies and when == "before":
            raise Killed
        reply = real(self, request)
        if dies:
            reply.read()
            reply.close()
            raise Killed
        return reply

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", handle)
    deaths = 0
    for _ in _story(ends):
        for die_at in count(1):
            state.update(asked=0, die_at=die_at)
            try:
                ends.round()
                break
            except Killed:
                deaths += 1
    assert deaths >= 4 * 2
    assert ends.sent() == EXPECTED
    assert sorted(ends.studio.query_ids()) == ["e01", "e02", "e03", "e04"]
    assert {outcome for _, outcome in ends.pipeline.ledger()} == {"example", "abstained", "amendment"}


def test_an_import_whose_answer_is_lost_is_not_done_again(make):
    ends = make(events=3)
    ends.studio.after = lambda method, path: not path.endswith("/import")
    with pytest.raises(ServiceError, match="nothing is lost"):
        ends.round()
    ends.studio.after = lambda method, path: True
    assert ends.round().imported == 0
    assert sorted(ends.studio.query_ids()) == ["e01", "e02", "e03"]


def test_labels_and_the_note_of_them_are_one_transaction(make):
    ends = make(events=2)
    ends.round()
    ends.studio.annotate("e01", "cat")
    ends.studio.annotate("e02", "cat")
    with ends.bridged() as book:
        book._connection.executescript(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON main.bridged WHEN NEW.event_id = 'e02' "
            "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END;"
        )
        with ends.client() as client, pytest.raises(Exception, match="disk is full"):
            Bridge(client, book, control_of(CONFIG, ["cat", "dog"])).round()
    assert ends.sent() == []
    ends.round()
    assert ends.sent() == [("e01", "1", "cat"), ("e02", "1", "cat")]


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["answer", "skip", "edit", "delete", "round"]),
        st.integers(1, 3),
        st.integers(1, 2),
        st.sampled_from(["cat", "dog"]),
    ),
    max_size=25,
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_whatever_people_do_the_last_label_of_each_is_what_stands_there(tmp_path_factory, acts):
    ends = Ends(tmp_path_factory.mktemp("ends"), events=3, quorum=3)
    try:
        ends.round()
        for act, number, who, choice in acts:
            event = f"e{number:02d}"
            there = [a for a in ends.studio.task_of(event)["annotations"] if a["completed_by"] == who]
            if act == "answer":
                ends.studio.annotate(event, choice, by=who)
            elif act == "skip":
                ends.studio.annotate(event, by=who, skip=True)
            elif act == "edit" and there:
                ends.studio.edit(there[-1]["id"], choice)
            elif act == "delete" and there:
                ends.studio.delete_annotation(there[-1]["id"])
            elif act == "round":
                ends.round()
        ends.round()
        last, sent = {}, ends.sent()
        for event, who, said in sent:
            assert last.get((event, who)) != said, "sent twice"
            last[event, who] = said
        for event in ("e01", "e02", "e03"):
            for who in (1, 2):
                there = [a for a in ends.studio.task_of(event)["annotations"] if a["completed_by"] == who]
                given_ = [a for a in there if not a["was_cancelled"]]
                if given_:
                    newest = max(given_, key=lambda a: a["updated_at"])
                    assert last[event, str(who)] == newest["result"][0]["value"]["choices"][0]
                else:
                    assert last.get((event, str(who))) in (("skip",) if there else (None, "skip"))
        assert not ends.round()
    finally:
        ends.close()


def test_a_second_bridge_on_a_store_is_refused(make):
    ends = make(events=1)
    with ends.bridged(), pytest.raises(StoreBusyError, match="another bridge"):
        ends.bridged()
    ends.bridged().close()


# ── patience and refusals ────────────────────────────────────────────────────────────────────────


def _first(times, status, headers=None, only=None):
    """Answer the first requests with a status."""
    left = [times]

    def before(method, path):
        if left[0] and (only is None or path.endswith(only)):
            left[0] -= 1
            return status, headers or {}
        return None

    return before


def test_a_server_that_asks_for_patience_gets_it(make):
    ends = make(events=1)
    ends.studio.before = _first(2, 429, {"Retry-After": "7"})
    assert ends.round().imported == 1
    assert ends.slept == [7.0, 7.0]


def test_waits_grow_and_end(make):
    ends = make(events=1)
    ends.studio.before = _first(100, 503)
    with pytest.raises(ServiceError, match="HTTP 503") as error:
        ends.round()
    assert error.value.retriable
    assert ends.slept == [2.0**n for n in range(ATTEMPTS - 1)]


def test_an_import_is_tried_again_only_when_it_surely_was_not_done(make):
    ends = make(events=1)
    ends.studio.before = _first(1, 429, only="/import")
    assert ends.round().imported == 1
    ends.studio.tasks.clear()
    ends.studio.before = _first(1, 502, only="/import")
    ends.studio.calls.clear()
    with pytest.raises(ServiceError):
        ends.round()
    assert sum(path.endswith("/import") for _, path in ends.studio.calls) == 1


def test_a_server_that_is_not_there_is_waited_for(make):
    ends = make(events=1)
    ends.studio.close()
    with pytest.raises(ServiceError, match="ConnectError"):
        ends.round()
    assert len(ends.slept) == ATTEMPTS - 1
    ends.studio = StudioServer()


def test_a_personal_access_token_buys_short_lived_ones(make):
    ends = make(events=1, studio=StudioServer(token="eyJh.eyJ0.c2ln"))
    assert ends.round().imported == 1
    with ends.client() as client:
        client.settings()
        ends.studio.refreshed += 1  # the one it has is out of date
        ends.studio.before = _first(1, 503)  # and that is only seen when the server is back
        assert client.settings()["id"] == 1


@pytest.mark.parametrize("token", ["wrong", "eyJh.wrong.c2ln"])
def test_a_wrong_token_is_said(make, token):
    ends = make(events=1)
    with LabelStudio(ends.studio.url, 1, token) as client, pytest.raises(ConfigError, match="token"):
        client.settings()


def test_an_address_that_leads_elsewhere_is_said(make):
    ends = make(events=1)
    ends.studio.before = _first(1, 301, {"Location": "https://labels.example.org/api/projects/1/"})
    with pytest.raises(ConfigError, match="leads on to https://labels"):
        ends.round()


def test_no_such_project_is_said(make):
    ends = make(events=1)
    with LabelStudio(ends.studio.url, 77, TOKEN) as client, pytest.raises(ConfigError, match="--project 77"):
        client.settings()


def test_a_refusal_is_quoted(make):
    ends = make(events=1)
    with ends.client() as client, pytest.raises(SourceError, match="key is expected in task data"):
        client.import_tasks([{"data": {}}])


@pytest.mark.parametrize("url", ["labels.example.org", "ftp://labels.example.org", "http://"])
def test_an_address_that_is_none_is_said(url):
    with pytest.raises(ConfigError, match="--url"):
        LabelStudio(url, 1, TOKEN)


BOTH = '<Choice value="cat"/><Choice value="dog"/>'
ONE = '<Choice value="1"/>'
CHOICES = '<Choices name="{}" toName="row"{}>{}</Choices>'


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("<View>", "is no XML"),
        ("<View/>", "has no <Choices>"),
        (CHOICES.format("a", "", '<Choice value="cat"/>'), "has no choice for 'dog'"),
        (CHOICES.format("a", "", ""), "has no <Choice> of its own"),
        (
            CHOICES.format("a", ' choice="multiple"', '<Choice value="cat"/><Choice value="dog"/>'),
            "choose several",
        ),
        (
            CHOICES.format("a", "", '<Choice value="cat"/><Choice value="dog"/><Choice value="emu"/>'),
            "has 'emu', which",
        ),
        (
            f"<View>{''.join(CHOICES.format(n, '', BOTH) for n in 'ab')}</View>",
            "name one with --control",
        ),
    ],
)
def test_an_interface_that_does_not_fit_is_said(config, said):
    with pytest.raises(ConfigError, match=said):
        control_of(config, ["cat", "dog"], "str", closed=True)


def test_of_several_choices_the_ones_that_fit_or_are_named_are_taken():
    config = f"<View>{CHOICES.format('a', '', BOTH)}{CHOICES.format('b', '', BOTH)}</View>"
    assert control_of(config, ["cat", "dog"], name="b").name == "b"
    config = f"<View>{CHOICES.format('a', '', ONE)}{CHOICES.format('b', '', BOTH)}</View>"
    assert control_of(config, ["cat", "dog"]).name == "b"
    with pytest.raises(ConfigError, match=r"named 'c' \(there are: a, b\)"):
        control_of(config, ["cat"], name="c")


def test_labels_of_a_worker_that_reads_a_file_would_be_lost(make):
    ends = make(events=1)
    with sqlite3.connect(ends.pipeline.path) as connection:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('label_source', 'file', 0)")
    connection.close()
    with pytest.raises(ConfigError, match="takes labels from elsewhere"):
        ends.bridged()


def test_what_was_sent_to_one_project_is_not_what_was_sent_to_another(make):
    ends = make(events=1)
    ends.round()
    ends.studio.annotate("e01", "cat")
    ends.round()
    with Bridged(ends.pipeline.path, "another") as book:
        assert book.said() == {}
    with ends.bridged() as book:
        assert json.dumps(book.said()) == '{"e01": {"label-studio:1": {"label": "cat"}}}'
