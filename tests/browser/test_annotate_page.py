"""The annotator's page in a real browser: by keyboard, by mouse, on a phone, and when things break."""

import re
import signal
import time

import pytest
from labelled_stores import CATS, GROUPED, GROUPS
from recordings import People, run_pipeline
from streams import estimator, rows

from stream_al import ActiveLearner, Budgeted, ColdStart, DriftRules, Margin
from stream_al.codec import EventRow
from stream_al.ports import LabelledRow

PHONE = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}


def shows(page, event_id):
    page.wait_for_function(
        "id => !document.querySelector('#card').hidden && document.querySelector('#title').textContent === id",
        arg=event_id,
    )
    return page


def sent(page):
    """Wait until everything that was said is acknowledged."""
    page.wait_for_function("() => Object.keys(localStorage).every(key => !key.includes(' op '))")
    return page


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)
    return page


def wait_for(condition):
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def said(pipeline):
    """Return what was said of each event, sent or not."""
    return [
        (record["event_id"], record.get("label") or record.get("abstain"))
        for record in [*pipeline.records(), *pipeline.drafts()]
    ]


# ── the flow ─────────────────────────────────────────────────────────────────────────────────────


def test_everything_can_be_said_by_keyboard_and_reaches_the_model(pipeline, serve, visit):
    p = pipeline(6, CATS)
    page = visit(serve(p.path).url)
    shows(page, "e01")
    press(page, "1")
    shows(page, "e02")
    press(page, "u")
    press(page, "2")
    shows(page, "e03")
    press(page, "n")
    page.keyboard.type("lynx")
    press(page, "Enter")
    shows(page, "e04")
    press(page, "s")
    shows(page, "e05")
    press(page, "c")
    page.keyboard.type("blurred")
    press(page, "Control+Enter")
    press(page, "2")
    shows(page, "e06")
    press(page, "z")
    shows(page, "e05")
    press(page, "1")
    shows(page, "e06")
    sent(page)
    drafts = {record["event_id"]: record for record in p.drafts()}
    assert {k: v["label"] or v["abstain"] for k, v in drafts.items()} == {
        "e01": "cat", "e02": "unsure", "e03": "unsure", "e04": "skip", "e05": "cat",
    }  # fmt: skip
    assert drafts["e02"]["page"]["why"] == "more than one class fits"
    assert drafts["e03"]["page"]["proposed_class"] == "lynx"
    assert drafts["e05"]["page"]["note"] == "blurred"
    assert [drafts[e]["page"]["saw_prediction"] for e in ("e01", "e05")] == [False, True]
    page.close(run_before_unload=True)  # leaving sends what is unsent
    wait_for(p.records)
    p.work()
    assert [(e, o) for e, o in p.ledger() if o == "example"] == [("e01", "example"), ("e05", "example")]


def test_an_answer_can_be_of_the_card_alone_and_not_of_those_like_it(pipeline, serve, visit):
    p = pipeline(events=GROUPED, model=CATS, groups=GROUPS)
    page = visit(serve(p.path).url)
    shows(page, "e01")
    assert page.locator("#group").is_hidden()
    press(page, "o", "1")
    press(page, "2")
    shows(page, "e03")
    assert "Your answer also serves 2 records like it." in page.locator("#group").text_content()
    press(page, "o", "o", "o")
    assert page.locator("#only").get_attribute("aria-pressed") == "true"
    press(page, "1")
    shows(page, "e04")
    sent(page)
    found = [(record["event_id"], record["only_this"]) for record in [*p.records(), *p.drafts()]]
    assert found == [("e01", False), ("e02", False), ("e03", True)]


def test_everything_can_be_done_by_mouse(pipeline, serve, visit):
    p = pipeline(4, CATS)
    page = visit(serve(p.path).url)
    shows(page, "e01").get_by_role("button", name="dog").click()
    shows(page, "e02").get_by_role("button", name="Unsure").click()
    page.get_by_role("button", name="Too little is shown").click()
    shows(page, "e03").get_by_role("button", name="Pass").click()
    shows(page, "e04").get_by_role("button", name="Undo").click()
    shows(page, "e03").get_by_role("button", name="cat").click()
    shows(page, "e04").get_by_text("Why am I asked this?").click()
    assert page.get_by_text("Asked because: the model is only starting").is_visible()
    page.get_by_role("button", name="None of these").click()
    page.get_by_role("button", name="Back").click()
    shows(page, "e04")
    sent(page)
    assert said(p) == [("e01", "dog"), ("e02", "unsure"), ("e03", "cat")]


def test_a_phone_has_one_column_and_targets_for_thumbs(pipeline, serve, visit):
    texts = {"text": "word " * 200}
    p = pipeline(
        model=CATS,
        events=[
            EventRow(id=f"e{n}", features={"a" * 80: 1.0, "b": "c" * 90}, display=texts) for n in range(3)
        ],
    )
    page = visit(serve(p.path).url, **PHONE)
    shows(page, "e0")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    small = page.evaluate(
        """[...document.querySelectorAll('button, nav a')].filter(b => b.checkVisibility())
        .filter(b => b.getBoundingClientRect().height < 44).map(b => b.textContent)"""
    )
    assert small == []
    page.get_by_role("button", name="cat").tap()
    shows(page, "e1").get_by_role("button", name="dog").tap()
    sent(shows(page, "e2"))
    assert said(p) == [("e0", "cat"), ("e1", "dog")]


def test_twelve_classes_are_answered_by_two_digits_or_by_name(pipeline, serve, visit):
    classes = [f"bird {letter}" for letter in "abcdefghijkl"]
    p = pipeline(4, {"classes": classes, "label_type": "str"})
    page = visit(serve(p.path).url)
    press(shows(page, "e01"), "1", "2")
    press(shows(page, "e02"), "7", "Enter")
    press(shows(page, "e02"), "Backspace", "0", "7")
    press(shows(page, "e03"), "/")
    page.keyboard.type("bird c")
    press(page, "Enter")
    sent(shows(page, "e04"))
    assert said(p) == [("e01", "bird l"), ("e02", "bird g"), ("e03", "bird c")]


def test_the_first_class_is_named_and_becomes_a_button_for_everybody(pipeline, serve, visit):
    p = pipeline(4)
    server = serve(p.path)
    page = visit(server.url)
    press(shows(page, "e01"), "n")
    page.keyboard.type("Lynx")
    press(page, "Enter")
    sent(shows(page, "e02")).get_by_role("button", name="Lynx").click()
    press(shows(page, "e03"), "n")
    page.keyboard.type("lynx")  # is the one there is
    press(page, "Enter")
    sent(shows(page, "e04"))
    assert said(p) == [("e01", "Lynx"), ("e02", "Lynx"), ("e03", "Lynx")]


def test_keys_can_be_turned_off(pipeline, serve, visit):
    page = visit(serve(pipeline(2, CATS).path).url)
    press(shows(page, "e01"), "?")
    page.get_by_label("Answer with single keys").uncheck()
    press(page, "Escape", "1", "s")
    page.get_by_role("button", name="dog").click()
    page.reload()
    press(shows(page, "e02"), "1")
    assert page.locator("#title").inner_text() == "e02"


@pytest.mark.parametrize("show", ["never", "after", "before"])
def test_the_models_answer_is_shown_when_it_was_asked_for_and_that_is_recorded(pipeline, serve, visit, show):
    p = pipeline(2, CATS)
    first = visit(serve(p.path, "--show-prediction", "never").url)
    press(shows(first, "e01"), "1")
    press(shows(first, "e02"), "1")
    sent(first).close(run_before_unload=True)
    wait_for(lambda: len(p.records()) == 2)
    p.work()
    p.events.items += [EventRow(id=f"f{n}", features={"x": float(n)}) for n in range(3)]
    p.work()
    page = visit(serve(p.path, "--show-prediction", show).url)
    shows(page, "f0")
    assert page.get_by_text("the model had said cat").count() == (show == "before")
    press(page, "2")
    shows(page, "f1")
    assert page.get_by_text("the model had said cat").count() == {"never": 0, "after": 1, "before": 1}[show]
    press(page, "z")
    press(shows(page, "f0"), "1")
    sent(shows(page, "f1"))
    recorded = [record["page"]["saw_prediction"] for record in p.drafts()]
    assert recorded == [show != "never"]  # of the second answer; the first was given before it was shown


def test_without_cards_it_says_why_and_goes_on_by_itself(pipeline, serve, visit):
    p = pipeline(1, CATS)
    page = visit(serve(p.path).url)
    press(shows(page, "e01"), "1")
    page.get_by_text("You have given your answer to the 1 query still open.").wait_for()
    p.events.items += [EventRow(id="new", features={"x": 5.0})]
    p.work()
    shows(page, "new")


def test_a_card_of_which_the_model_has_become_sure_goes_and_says_why(pipeline, serve, visit):
    p = pipeline(12, CATS, strategy=Margin(1.0), withdraw_below=0.9, rescore_every=1)
    page = shows(visit(serve(p.path).url), "e01")
    for event_id, label in [("e05", "cat"), ("e06", "cat"), ("e11", "dog"), ("e12", "dog")]:
        p.send(event_id, label)
    p.work()
    page.evaluate("dispatchEvent(new Event('online'))")  # looks at once
    page.get_by_text("e01 is put away: the model has become sure meanwhile.").wait_for()
    assert not page.locator("#title").is_visible() or page.locator("#title").inner_text() != "e01"
    assert said(p) == [("e05", "cat"), ("e06", "cat"), ("e11", "dog"), ("e12", "dog")]


# ── several ──────────────────────────────────────────────────────────────────────────────────────


def test_two_annotators_at_once_never_have_the_same_card(pipeline, serve, visit):
    p = pipeline(12, CATS)
    pages = [visit(serve(p.path, name=name).url) for name in ("ann", "bob")]
    for page in pages:
        page.wait_for_selector("#card:not([hidden])")
    seen = [[], []]
    for turn in range(12):
        page, mine = pages[turn % 2], seen[turn % 2]
        mine.append(page.locator("#title").inner_text())
        press(page, "12"[turn % 2])
        sent(page)
        if turn < 10:
            page.wait_for_function(
                "seen => document.querySelector('#title').textContent !== seen", arg=mine[-1]
            )
    assert sorted(seen[0] + seen[1]) == [f"e{n:02d}" for n in range(1, 13)]
    assert sorted(said(p)) == sorted([*((e, "cat") for e in seen[0]), *((e, "dog") for e in seen[1])])


# ── when things break ────────────────────────────────────────────────────────────────────────────


def test_answers_survive_a_killed_server_once_each(pipeline, serve, visit):
    p = pipeline(9, CATS)
    server = serve(p.path)
    page = visit(server.url)
    press(shows(page, "e01"), "1")
    sent(shows(page, "e02"))
    server.process.send_signal(signal.SIGSTOP)  # what is sent now reaches it and is never answered
    press(shows(page, "e02"), "2")
    press(
        shows(page, "e03"),
        "1",
    )
    server.kill()
    press(shows(page, "e04"), "2")
    page.get_by_text("3 unsent").wait_for()
    server.start()
    sent(page)
    assert page.locator("#unsent").inner_text() == ""
    assert said(p) == [("e01", "cat"), ("e02", "dog"), ("e03", "cat"), ("e04", "dog")]
    press(shows(page, "e05"), "1")
    sent(page)
    assert len(said(p)) == 5


def test_an_answer_whose_acknowledgement_is_lost_is_sent_again_and_kept_once(pipeline, serve, visit):
    p = pipeline(5, CATS)
    page = visit(serve(p.path).url)
    sent(shows(page, "e01"))
    lost = []

    def lose(route):
        if not lost:
            lost.append(route.fetch().status)  # the server has it, the page does not know
            route.abort()
        else:
            route.continue_()

    page.route("**/sync", lose)
    press(page, "1")
    sent(shows(page, "e02"))
    assert lost == [200]
    assert said(p) == [("e01", "cat")]


def test_the_network_may_go_and_come_back_and_the_page_be_closed_meanwhile(pipeline, serve, visit):
    p = pipeline(6, CATS)
    server = serve(p.path)
    page = visit(server.url)
    context = page.context
    sent(shows(page, "e01"))
    context.set_offline(True)
    press(page, "1")
    press(shows(page, "e02"), "2")
    press(shows(page, "e03"), "z")
    press(shows(page, "e02"), "1")
    page.get_by_text("2 unsent").wait_for()
    page.close()
    assert said(p) == []
    context.set_offline(False)  # a page that is closed may still send what it has
    page = context.new_page()
    page.goto(server.url)
    sent(page)
    assert said(p) == [("e01", "cat"), ("e02", "cat")]
    page.wait_for_selector("#undo:not([disabled])")
    press(page, "z")  # what was said before the page was closed
    press(shows(page, "e02"), "2")
    sent(page)
    assert said(p) == [("e01", "cat"), ("e02", "dog")]


def test_an_answer_is_undone_in_the_inbox_and_corrected_once_it_is_learned(pipeline, serve, visit):
    p = pipeline(4, CATS)
    server = serve(p.path)
    page = visit(server.url)
    press(shows(page, "e01"), "1")
    sent(shows(page, "e02"))
    page.reload()  # leaving sends it
    shows(page, "e02")
    assert p.answers() == [("e01", "cat")]
    press(page, "z")
    sent(shows(page, "e01"))
    assert p.answers() == []
    press(page, "1")
    shows(page, "e02")
    sent(page).reload()
    shows(page, "e02")
    p.work()
    assert p.ledger() == [("e01", "example")]
    press(page, "z")
    sent(shows(page, "e01"))
    assert page.get_by_text("The model has learned this answer already.").is_visible()
    press(page, "2")
    sent(shows(page, "e02"))
    p.work()
    assert p.ledger() == [("e01", "example"), ("e01", "amendment")]


# ── what is shown ────────────────────────────────────────────────────────────────────────────────

XSS = [
    "<img src=x onerror=\"window.pwned='a'\">",
    "<script>window.pwned='b'</script>",
    "\"><svg onload=window.pwned='c'>",
    "javascript:window.pwned='d'",
    "{{ 7*7 }}${7*7}<b>bold</b>",
]


def test_nothing_of_a_record_becomes_markup(pipeline, serve, visit, tmp_path):
    bad = "".join(XSS)
    guideline = tmp_path / "guide.txt"
    guideline.write_text(bad, "utf-8")
    display = {
        "text": bad,
        "image": XSS[3],
        "html": XSS[0],
        XSS[1]: {XSS[0]: [XSS[1], XSS[2]]},
        "photo": {"image": XSS[2], "alt": XSS[0]},
    }
    events = [
        EventRow(id=f"{n}{bad}", features={XSS[0]: XSS[1], XSS[2]: bad + "\n", "x": 1.0}, display=display)
        for n in range(4)
    ]
    p = pipeline(events=events, model={"classes": XSS, "label_type": "str"})
    page = visit(serve(p.path, "--guideline", str(guideline), name=f"ann{XSS[0]}").url)
    shows(page, f"0{bad}")
    for detail in page.locator("details").all():
        detail.evaluate("element => { element.open = true }")
    for text in XSS:
        assert page.locator("main").get_by_text(text).first.is_visible()
    press(page, "1")
    shows(page, f"1{bad}")
    press(page, "h")
    assert page.locator(".guideline").inner_text() == bad
    press(page, "Escape", "n")
    page.keyboard.type(XSS[0] + "!")
    press(page, "Enter")
    shows(page, f"2{bad}")
    sent(page)
    assert page.evaluate("window.pwned ?? null") is None
    assert page.locator("main :is(script, img, svg, b)").count() == 0
    page.goto(page.url + "dashboard")
    wait_for(p.records)  # leaving sends what is unsent
    p.work()
    page.get_by_text(f"ann{XSS[0]}").first.wait_for()
    assert page.evaluate("window.pwned ?? null") is None
    assert page.locator("main :is(script, img, b)").count() == 0


def test_pictures_are_shown_from_the_record_and_from_origins_the_owner_named_only(pipeline, serve, visit):
    dot = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
    images = {"a": {"image": dot, "alt": "a dot"}, "b": {"image": "https://elsewhere.example/x.png"}}
    p = pipeline(events=[EventRow(id="e", features={"x": 1.0}, display=images)], model=CATS)
    page = visit(serve(p.path).url)
    shows(page, "e")
    assert (
        page.get_by_alt_text("a dot").evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
    )
    assert page.locator("img").count() == 1
    assert page.get_by_text("https://elsewhere.example/x.png").is_visible()


def test_a_screen_reader_is_told_what_happened_and_where_it_is(pipeline, serve, visit):
    page = visit(serve(pipeline(3, CATS).path).url)
    press(shows(page, "e01"), "Tab")
    page.get_by_role("button", name="cat").focus()
    press(page, "Enter")
    shows(page, "e02")
    assert page.evaluate("document.activeElement.id") == "title"
    assert page.locator("#notice[role=status]").inner_text().startswith("✓ cat · e01")
    press(page, "Enter")  # the button no longer has the focus: nothing is answered by mistake
    assert page.locator("#title").inner_text() == "e02"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), (390, 780)])
def test_axe_finds_nothing(pipeline, serve, visit, scheme, size):
    from axe_playwright_python.sync_playwright import Axe

    events = [
        EventRow(id="e0", features={"a": 1.0, "b": "text"}, display={"text": "a text", "data": {"k": [1]}}),
        *(EventRow(id=f"e{n}", features={f"f{k}": float(k) for k in range(12)}) for n in range(1, 3)),
    ]
    p = pipeline(events=events, model=CATS)
    page = visit(
        serve(p.path).url, color_scheme=scheme, viewport={"width": size[0], "height": size[1]},
        bypass_csp=True, reduced_motion="reduce",
    )  # fmt: skip
    axe = Axe()

    def fine():
        found = axe.run(
            page,
            options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
        )
        assert found.violations_count == 0, found.generate_report()

    shows(page, "e0")
    press(page, "w")
    fine()
    for key in ("u", "n", "c", "h", "?"):
        press(page, key)
        fine()
        press(page, "Escape")
    press(page, "1")
    shows(page, "e1")
    fine()
    press(page, "1")
    press(shows(page, "e2"), "1")
    page.get_by_role("heading", name="Nothing to answer now").wait_for()
    fine()
    page.goto(re.sub("/$", "/dashboard", page.url))
    page.wait_for_selector("#hours svg")
    fine()


def turned(row):
    return LabelledRow(row.features, row.id, truth="in" if row.truth == "out" else "out")


def test_the_dashboard_shows_how_the_model_learned_and_where_the_stream_changed(tmp_path, serve, visit):
    events = [row if n < 3000 else turned(row) for n, row in enumerate(rows(6000))]
    drift = DriftRules("PageHinkley", {"threshold": 4.0, "delta": 0.02, "mode": "up"}, ("surprise",))
    learner = ActiveLearner(estimator(), ColdStart(Budgeted(0.3, explore=0.1), 50), drift=drift)
    path = run_pipeline(tmp_path / "store.db", learner, events, People(names=("ann",)), {})
    page = visit(serve(path).url)
    page.goto(page.url + "dashboard")
    chart = page.get_by_role("img", name="Estimated accuracy")
    chart.wait_for()
    marks = page.locator("#drift li").all_inner_texts()
    assert any(text.startswith("event 3,") for text in marks)
    assert chart.locator(".drift").count() == len(marks)
    page.get_by_text("As a table").click()
    cells = page.locator("#curve-rows tr").all_inner_texts()
    assert len(cells) > 20
    assert page.locator("#curve-rows tr").first.is_visible()
    page.get_by_text("By class").click()
    assert [text.split("\t")[:2] for text in page.locator("#classes tr").all_inner_texts()] == [
        ["ann", "in"],
        ["ann", "out"],
    ]
