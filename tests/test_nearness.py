"""How near records are to each other, whatever features they have."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_al.nearness import FEWEST, Nearness
from stream_al.records import Features

NUMBERS = st.floats(-100.0, 100.0).map(lambda value: round(value, 3))
RECORDS = st.dictionaries(
    st.sampled_from("abcd"), NUMBERS | st.booleans() | st.sampled_from(["red", "blue", ""]), min_size=1
)


def distances(held: list[Features], features: Features) -> list[float]:
    """Work the distances out one by one, from the definition."""
    names = {(name, value if isinstance(value, str) else None) for one in held for name, value in one.items()}
    names |= {(name, value if isinstance(value, str) else None) for name, value in features.items()}

    def number(one: Features, name: str, text: str | None) -> float:
        value = one.get(name)
        if text is not None or isinstance(value, str):
            return float(text is not None and value == text)
        return 0.0 if value is None else float(value)

    found = []
    for one in held:
        total = 0.0
        for name, text in names:
            column = [number(other, name, text) for other in held]
            mean = sum(column) / len(column)
            spread = math.sqrt(sum((value - mean) ** 2 for value in column) / len(column))
            scale = 1.0 if text is not None or spread == 0.0 else spread
            total += ((number(one, name, text) - number(features, name, text)) / scale) ** 2
        found.append(math.sqrt(total / len({*one, *features})))
    return found


@given(
    held=st.lists(RECORDS, min_size=FEWEST, max_size=FEWEST + 3),
    features=RECORDS,
    within=st.floats(0.01, 3.0),
)
def test_it_is_the_nearest_by_the_definition(held: list[Features], features: Features, within: float) -> None:
    told = Nearness((f"{place}", one) for place, one in enumerate(held)).nearest(features, within)
    found = distances(held, features)
    least = min(found)
    if told is None:
        assert least > within * (1 - 1e-9)
    else:
        assert found[int(told)] <= within * (1 + 1e-9)
        assert found[int(told)] == pytest.approx(least, rel=1e-9, abs=1e-12)


def test_units_do_not_matter() -> None:
    one = Nearness((f"e{n}", {"x": float(n), "y": float(-n)}) for n in range(20))
    other = Nearness((f"e{n}", {"x": 1000.0 * n, "y": -0.001 * n}) for n in range(20))
    assert one.nearest({"x": 7.3, "y": -7.2}, 0.1) == other.nearest({"x": 7300.0, "y": -0.0072}, 0.1) == "e7"


def test_few_records_have_no_scale_and_some_are_not_allowed() -> None:
    records: list[tuple[str, Features]] = [(f"e{n}", {"x": float(n)}) for n in range(FEWEST)]
    assert Nearness(records[1:]).nearest({"x": 5.0}, 10.0) is None
    held = Nearness(records)
    assert held.nearest({"x": 5.1}, 10.0) == "e5"
    assert held.nearest({"x": 5.1}, 10.0, lambda name: name != "e5") == "e6"
    assert held.nearest({"x": 5.1}, 10.0, lambda name: False) is None


def test_a_text_that_nobody_has_and_a_feature_that_nobody_has_count() -> None:
    held = Nearness((f"e{n}", {"x": float(n), "kind": "a"}) for n in range(FEWEST))
    assert held.nearest({"x": 5.0, "kind": "a"}, 0.01) == "e5"
    assert held.nearest({"x": 5.0, "kind": "b"}, 0.9) is None  # (1 + 1) / 2 features
    assert held.nearest({"x": 5.0, "kind": "a", "new": 3.0}, 1.7) is None
    assert held.nearest({"x": 5.0, "kind": "a", "new": 3.0}, 1.8) == "e5"
