"""Who may use the page: over HTTP, against the real server."""

import http.client
import json
import subprocess
import sys
import threading

import pytest
from labelled_stores import CATS
from page_servers import ROOT, Client, PageServer

from connectors.sqlite.people import SqlitePeople
from stream_al.annotate.access import (
    FAILURE_SECONDS,
    FAILURES,
    SESSION_SECONDS,
    UNUSED_SECONDS,
    Access,
    Person,
    Throttle,
    hashed,
    new_token,
)


def stream_al(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "stream_al", *map(str, words)],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def people(pipeline):
    """Three people of a store, and their tokens."""
    p = pipeline(6, CATS)
    table = SqlitePeople(p.path)
    tokens = {}
    for name, role in (("olga", "owner"), ("ann", "annotator"), ("vic", "viewer")):
        tokens[name] = new_token()
        table.put(Person(name, role, hashed(tokens[name]), 0.0), "test")
    table.close()
    return p, tokens


@pytest.fixture
def server(people):
    server = PageServer(people[0].path, "--host", "0.0.0.0")
    yield server
    assert "Traceback" not in server.stop()


def client_of(server, tokens, name):
    client = Client(server)
    assert client.log_in(name, tokens[name]) == 303
    return client


# ── on this machine ──────────────────────────────────────────────────────────────────────────────


def test_on_loopback_nobody_logs_in_and_no_other_name_is_answered(pipeline):
    server = PageServer(pipeline(2, CATS).path)
    client = Client(server).open()
    assert len(client.sync()["cards"]) == 2
    status, _, _ = client.call("GET", "/", Host="rebound.example")
    assert status == 400
    server.stop()


def test_what_changes_anything_must_come_from_the_page(pipeline):
    p = pipeline(2, CATS)
    server = PageServer(p.path)
    client = Client(server).open()
    said = {"op": "answer", "key": "key-00001", "event_id": "e01", "label": '"cat"'}
    right, client.csrf = client.csrf, "wrong"
    assert client.sync(said) == 403
    assert p.drafts() == []
    client.csrf = right
    assert client.sync(said)["done"][0]["state"] == "kept"
    server.stop()


def test_a_page_outlives_its_server(pipeline):
    server = PageServer(pipeline(2, CATS).path)
    client = Client(server).open()
    server.kill()
    server.start()
    assert len(client.sync()["cards"]) == 2
    server.stop()


@pytest.mark.parametrize(
    ("body", "status"),
    [("{", 400), ('{"operations": [{"op": "answer"}]}', 400), ("[" * 100_000, 400), ("x" * 2_000_001, 413)],
    ids=["no-json", "missing", "deep", "huge"],
)
def test_nonsense_is_refused(pipeline, body, status):
    server = PageServer(pipeline(2, CATS).path)
    client = Client(server).open()
    try:
        found, _, _ = client.call("POST", "/sync", body, X_CSRF_Token=client.csrf)
    except (BrokenPipeError, ConnectionResetError):  # it was not read to its end
        found = 413
    assert found == status
    assert len(client.sync()["cards"]) == 2
    assert "Traceback" not in server.stop()


def test_every_answer_keeps_others_scripts_and_frames_out(pipeline):
    server = PageServer(pipeline(1, CATS).path, "--images-from", "https://images.example")
    client = Client(server)
    for path in ("/", "/login", "/static/page.js", "/dashboard", "/nowhere"):
        _, headers, _ = client.call("GET", path)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert "img-src 'self' data: https://images.example;" in policy
    server.stop()


def test_what_was_said_on_the_page_is_verified_with_the_rest(tmp_path):
    config = tmp_path / "p.toml"
    stream_al("init", config, "--events", "river:Phishing")
    assert stream_al("run", config, "--quiet").returncode == 0
    server = PageServer(config)
    client = Client(server).open()
    card = client.sync(want=1)["cards"][0]["id"]
    said = {"op": "answer", "key": "key-00001", "event_id": card, "new_class": "yes", "note": "a note"}
    assert client.sync(said, leave=True)["done"][0]["state"] == "kept"
    server.stop()
    stream_al("run", config, "--quiet")
    done = stream_al("verify", tmp_path / "pipeline.db")
    assert done.stdout.startswith("0 differences in 1,250 predictions, 1 labels and 1 examples"), done


# ── from elsewhere ───────────────────────────────────────────────────────────────────────────────


def test_it_does_not_start_for_others_without_tokens(pipeline):
    p = pipeline(1, CATS)
    done = stream_al("annotate", p.path, "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 2
    assert "nobody has a token" in done.stderr
    assert "stream-al people add" in done.stderr


def test_everybody_must_log_in(server):
    stranger = Client(server)
    for path in ("/", "/dashboard"):
        status, headers, _ = stranger.call("GET", path)
        assert (status, headers["Location"]) == (303, "/login")
    assert stranger.call("GET", "/dashboard/live")[0] == 401
    assert stranger.sync() == 401


def test_answers_bear_the_name_of_who_is_logged_in(people, server):
    p, tokens = people
    client = client_of(server, tokens, "ann").open()
    client.sync(
        {"op": "answer", "key": "key-00001", "event_id": "e01", "label": '"cat"', "annotator": "olga"}
    )
    assert [draft["annotator"] for draft in p.drafts()] == ["ann"]


def test_each_role_may_do_its_own(people, server):
    _, tokens = people
    allowed = {}
    for name in tokens:
        client = client_of(server, tokens, name)
        allowed[name] = [client.call("GET", path)[0] for path in ("/", "/dashboard", "/audit.jsonl")]
    assert allowed == {"olga": [200, 200, 200], "ann": [200, 200, 403], "vic": [403, 200, 403]}


def test_a_link_logs_a_viewer_in_and_nobody_else(people, server):
    _, tokens = people
    viewer = Client(server)
    status, headers, _ = viewer.call("GET", f"/look?as=vic&token={tokens['vic']}")
    assert (status, headers["Location"]) == (303, "/dashboard")
    assert viewer.call("GET", "/dashboard")[0] == 200
    owner = Client(server)
    assert owner.call("GET", f"/look?as=olga&token={tokens['olga']}")[0] == 403
    assert owner.call("GET", "/dashboard")[0] == 303


def test_logging_out_and_taking_a_token_away_end_a_session(people, server):
    p, tokens = people
    ann, vic = (client_of(server, tokens, name) for name in ("ann", "vic"))
    ann.open()
    assert ann.call("POST", "/logout", "{}", X_CSRF_Token=ann.csrf)[0] == 204
    assert ann.call("GET", "/")[0] == 303
    assert stream_al("people", "remove", p.path, "vic").returncode == 0
    assert vic.call("GET", "/dashboard")[0] == 303
    assert stream_al("people", "list", p.path).stdout.split() == ["annotator", "ann", "owner", "olga"]


def test_a_login_from_another_site_is_refused(people, server):
    _, tokens = people
    client = Client(server)
    form = f"name=ann&token={tokens['ann']}"
    assert client.call("POST", "/login", form, Origin="https://evil.example")[0] == 403
    assert client.cookie == ""
    client.log_in("ann", tokens["ann"])
    assert "stream_al_session=" in client.cookie


def test_after_a_few_wrong_tokens_the_right_one_must_wait(people, server):
    _, tokens = people
    client = Client(server)
    assert [client.log_in("ann", "wrong") for _ in range(FAILURES)] == [403] * FAILURES
    assert client.log_in("ann", tokens["ann"]) == 429
    assert client.log_in("olga", tokens["olga"]) == 429  # from the same address


def test_the_dashboard_is_live(people, server):
    p, tokens = people
    viewer = client_of(server, tokens, "vic")
    ann = client_of(server, tokens, "ann").open()
    connection = http.client.HTTPConnection("localhost", server.port, timeout=20)
    connection.request("GET", "/dashboard/live", headers={"Cookie": viewer.cookie})
    answer = connection.getresponse()

    def figures():
        while not (line := answer.readline()).startswith(b"data:"):
            pass
        return json.loads(line[5:])

    assert (figures()["statuses"], answer.headers["Content-Type"][:17]) == ({"open": 6}, "text/event-stream")
    ann.sync({"op": "answer", "key": "key-00001", "event_id": "e01", "label": '"cat"'}, leave=True)
    p.work()
    found = figures()
    while found["learned"] == 0:
        found = figures()
    assert found["statuses"] == {"answered": 1, "open": 5}
    assert (found["people"][0]["name"], found["people"][0]["answers"]) == ("ann", 1)
    connection.close()


def test_the_audit_log_says_who_answered_what_when_having_seen_what_and_what_became_of_it(people, server):
    p, tokens = people
    ann = client_of(server, tokens, "ann").open()
    Client(server).log_in("ann", "wrong")
    answer = {"op": "answer", "key": "key-00001", "event_id": "e01", "label": '"cat"', "saw_prediction": True}
    ann.sync(answer)
    ann.sync({"op": "undo", "key": "undo-0001", "answer": "key-00001"})
    ann.sync({**answer, "key": "key-00002", "label": '"dog"', "note": "on second thoughts"}, leave=True)
    p.work()
    _, _, text = client_of(server, tokens, "olga").call("GET", "/audit.jsonl")
    assert text == stream_al("people", "audit", p.path).stdout
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["who"], line["what"]) for line in lines] == [
        ("test", "token-made"), ("test", "token-made"), ("test", "token-made"), ("ann", "login"),
        ("ann", "login-failed"), ("ann", "answered"), ("ann", "undone"), ("ann", "answered"), ("olga", "login"),
    ]  # fmt: skip
    last = lines[-2]
    assert (last["event_id"], last["content"]["label"]) == ("e01", "dog")
    assert last["content"]["page"]["note"] == "on second thoughts"
    assert last["content"]["page"]["saw_prediction"] is True
    assert last["became"]["outcome"] == "example"


def test_tokens_are_not_kept(people):
    p, tokens = people
    for file in p.path.parent.glob("p.db*"):
        content = file.read_bytes()
        assert all(token.encode() not in content for token in tokens.values())


def test_many_at_once_are_answered_together(people, server):
    p, tokens = people
    clients = [client_of(server, tokens, "ann").open() for _ in range(8)]
    states = []

    def say(client, n):
        done = client.sync({"op": "answer", "key": f"key-0000{n}", "event_id": "e01", "label": '"cat"'})[
            "done"
        ]
        states.append(done[0]["state"])

    threads = [threading.Thread(target=say, args=item) for item in zip(clients, range(8), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states == ["kept"] * 8
    assert len(p.drafts()) == 1  # one annotator, one event, one answer: the last


# ── by itself ────────────────────────────────────────────────────────────────────────────────────


def test_sessions_end_after_their_time_or_unused(people):
    p, tokens = people
    at = [1_000_000.0]
    table = SqlitePeople(p.path)
    access = Access(table, now=lambda: at[0])

    def logged_in(cookie):
        return access._visitor(cookie) is not None

    cookie = access._log_in("ann", tokens["ann"], "here")
    for _ in range(int(SESSION_SECONDS / UNUSED_SECONDS) * 2):
        at[0] += UNUSED_SECONDS / 2
        assert logged_in(cookie)
    at[0] += 1.0
    assert not logged_in(cookie)
    cookie = access._log_in("ann", tokens["ann"], "here")
    at[0] += UNUSED_SECONDS + 1.0
    assert not logged_in(cookie)
    table.close()


def test_a_throttle_lets_in_again_when_its_time_is_over():
    at = [0.0]
    throttle = Throttle(now=lambda: at[0])
    for _ in range(FAILURES):
        assert throttle.wait("x") == 0.0
        throttle.failed("x")
        at[0] += 1.0
    assert throttle.wait("x") == FAILURE_SECONDS - FAILURES
    assert throttle.wait("y") == 0.0
    at[0] = FAILURE_SECONDS
    assert throttle.wait("x") == 0.0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--show-prediction", "maybe"), "must be one of never, after, before"),
        (("--images-from", "https://x.example/path"), "without a path"),
        (("--images-from", "https://x.example;script-src *"), "is no name of a host"),
        (("--guideline", "missing.txt"), "cannot be read as text"),
        (("--host", "not.a.host.invalid"), "cannot be listened on"),
    ],
)
def test_what_an_option_cannot_be_is_said(pipeline, words, told):
    done = stream_al("annotate", pipeline(1, CATS).path, "--port", "0", *words)
    assert done.returncode == 2
    assert told in done.stderr


def test_people_of_a_pipeline_on_kafka_are_in_the_file_of_the_page(tmp_path):
    config = tmp_path / "k.toml"
    config.write_text('[store]\npath = "page.db"\n[kafka]\nbootstrap = "localhost:1"\n')
    assert stream_al("people", "add", config, "ann").returncode == 0  # no broker is asked
    assert stream_al("people", "list", config).stdout.split() == ["annotator", "ann"]
    assert stream_al("people", "list", tmp_path / "page.db").stdout.split() == ["annotator", "ann"]
    done = stream_al("label-studio", config, "--url", "http://x", "--project", "1", LABEL_STUDIO_API_KEY="k")
    assert done.returncode == 2
    assert "page.db" in done.stderr
