"""A query as a card: what comes first, what is folded, and that everything is text."""

import json

from hypothesis import given
from hypothesis import strategies as st

from stream_al.annotate.cards import ROWS_SHOWN, buttons, card
from stream_al.annotate.usual import Usual
from stream_al.records import Query

DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


def query(features=None, **more):
    given = {
        "event_id": "e", "features": features or {"x": 1.0}, "predicted": "cat", "probabilities": {"cat": 0.61, "dog": 0.39},
        "utility": 0.9, "threshold": 0.8, "propensity": 1.0, "reason": "uncertain", "model_version": 3, "event_number": 7,
    }  # fmt: skip
    return Query(**{**given, **more})


def blocks(made):
    return [(block["kind"], block.get("name", "")) for block in made["blocks"]]


def test_unusual_values_come_first_marked_and_the_rest_is_folded():
    usual = Usual([{"a": float(n % 7), "b": "red" if n % 5 else "blue", "c": 1.0} for n in range(200)])
    features = {f"f{n:02d}": float(n) for n in range(20)} | {"a": 99.0, "b": "green", "c": 1.0}
    (table,) = card(query(features), usual)["blocks"]
    assert [(row["name"], row.get("mark")) for row in table["rows"][:3]] == [
        ("a", "high"),
        ("b", "new"),
        ("f00", None),
    ]
    assert table["rows"][0]["usually"] == "0 to 6"
    assert len(table["rows"]) == ROWS_SHOWN
    assert len(table["rows"]) + len(table["folded"]) == len(features)


def test_it_says_for_how_many_it_stands():
    assert card(query(), Usual(()))["group"] == ""
    assert card(query(), Usual(()), waiting=3)["group"] == "Your answer also serves 3 records like it."


def test_what_is_to_be_displayed_stands_before_what_the_model_sees():
    display = {
        "text": "Hello",
        "photo": {"image": DOT, "alt": "a dot"},
        "nested": {"a": [1]},
        "short": "s",
        "n": 3,
    }
    made = card(query({"x": 1.0, "y": 2.0}, display=display), Usual(()))
    assert blocks(made) == [
        ("text", ""),
        ("image", "photo"),
        ("json", "nested"),
        ("table", ""),
        ("table", ""),
    ]
    assert [row["name"] for row in made["blocks"][3]["rows"]] == ["short", "n"]
    assert (made["blocks"][4]["rows"], len(made["blocks"][4]["folded"])) == ([], 2)


def test_a_long_feature_is_a_text_of_its_own():
    made = card(query({"x": 1.0, "review": "word " * 50}), Usual(()))
    assert blocks(made) == [("text", "review"), ("table", "")]


def test_a_picture_is_loaded_from_named_origins_only_and_never_as_svg():
    sources = [
        "https://ok.example/a.png",
        "https://no.example/a.png",
        "data:image/svg+xml;base64,AAAA",
        "javascript:1",
        DOT,
    ]
    kinds = [
        card(query(display={"image": source}), Usual(()), images=("https://ok.example",))["blocks"][0]["kind"]
        for source in sources
    ]
    assert kinds == ["image", "text", "text", "text", "image"]


def test_the_models_answer_leaves_the_server_only_when_it_may_be_shown():
    assert "0.61" not in json.dumps(card(query(), Usual(()), "never"))
    assert "model" not in card(query(), Usual(()), "never")
    after = card(query(), Usual(()), "after")
    assert after["model"] == {
        "label": '"cat"', "said": "the model had said cat (61 %)", "same": "the model had said so too (61 %)",
    }  # fmt: skip
    assert "cat" not in json.dumps(after["facts"])
    assert ["The model's answer", "cat 61 %, dog 39 %"] in [
        list(f) for f in card(query(), Usual(()), "before")["facts"]
    ]


def test_why_it_is_asked_is_told_in_words_and_numbers():
    made = card(query(), Usual(()), budget=0.1)
    assert made["why"] == (
        "Asked because: the model is unsure (a label is worth 0.90, it asks above 0.80). "
        "The model had learned 3 examples (version 3)."
    )
    assert dict(made["facts"])["Budget"] == "10 % of all events"


def test_buttons_carry_the_class_as_json():
    assert buttons((1, 2**60)) == [
        {"label": "1", "text": "1", "code": "1"}, {"label": str(2**60), "text": str(2**60), "code": "2"},
    ]  # fmt: skip


values = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10) | st.text(max_size=200),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=9), st.text(max_size=300) | st.floats(-1e9, 1e9), min_size=1
    ),
    values,
)
def test_every_record_becomes_a_card_of_plain_texts(features, shown):
    made = card(query(features, display={"image": shown, "text": shown, "k": shown}), Usual([features] * 30))

    def texts(part):
        if isinstance(part, dict):
            for inner in part.values():
                yield from texts(inner)
        elif isinstance(part, list | tuple):
            for inner in part:
                yield from texts(inner)
        elif isinstance(part, str):
            yield part

    assert all(c == "\n" or c >= " " for text in texts(made) for c in text)
    assert json.loads(json.dumps(made))["id"] == "e"


@given(
    st.lists(st.floats(-1e6, 1e6) | st.integers(-5, 5) | st.text(max_size=2) | st.booleans(), max_size=60),
    st.floats(-1e9, 1e9) | st.text(max_size=2),
)
def test_what_is_usual_can_be_said_of_any_sample(sample, value):
    usual = Usual([{"x": each} for each in sample])
    marks = usual.marks({"x": value, "unknown": 1.0})
    assert set(marks) <= {"x"}
    if len(sample) < 20:
        assert marks == {}


def test_a_name_that_is_different_every_time_is_not_unusual():
    usual = Usual([{"id": f"name {n}"} for n in range(100)])
    assert usual.marks({"id": "another"}) == {}


def test_what_most_events_have_is_not_unusual_however_small_the_spread():
    usual = Usual([{"x": 1 / 9 if n % 10 == 0 else 0.0} for n in range(100)])
    assert usual.marks({"x": 1 / 9}) == {}
    assert usual.marks({"x": 0.12})["x"].word == "high"
