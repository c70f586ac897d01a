"""Who can be trusted is learned from whom they agree with; the example is that of Dawid & Skene (1979)."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_al.trust import Trust

# Table 1 of the paper: 45 patients' fitness for anaesthesia, 1 to 4, by five anaesthetists, of whom the first
# judged three times.
TABLE = """
1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 2223343 1111111 2223212 1211111
1112111 1111111 1111111 2222221 2221322 2222222 2222221 2223222 2212222 1111111 1111111 2322222 1111111 1111111 1121121
1111111 3333233 1111111 2222222 2223232 4334343 2212232 2323233 3333432 1111111 1111111 1212111 2322222 1211111 2222222
""".split()  # noqa: SIM905 - a table is read as one
OBSERVERS = ("1a", "1b", "1c", "2", "3", "4", "5")
PUBLISHED = (0.40, 0.42, 0.11, 0.07)
"""The paper's estimate of how frequent each class is."""


def votes_of(row: str) -> dict[str, str]:
    return dict(zip(OBSERVERS, row, strict=True))


def full_model() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The paper's own estimate, a whole table of errors for each of five observers: its equations 2.3 to 2.5, 3.1."""
    counts = np.zeros((len(TABLE), 5, 4))
    for patient, row in enumerate(TABLE):
        for place, answer in enumerate(row):
            counts[patient, max(0, place - 2), int(answer) - 1] += 1
    classes = counts.sum(1) / 7.0
    for _ in range(200):
        shares = classes.mean(0)
        errors = np.einsum("ij,ikl->kjl", classes, counts)
        errors /= errors.sum(2, keepdims=True)
        logs = np.log(np.maximum(errors, 1e-300))
        joint = np.log(shares) + np.einsum("ikl,kjl->ij", counts, logs)
        classes = np.exp(joint - joint.max(1, keepdims=True))
        classes /= classes.sum(1, keepdims=True)
    return classes, shares, errors


def test_on_the_papers_patients_one_number_an_observer_decides_as_a_whole_table_does():
    classes, shares, errors = full_model()
    assert shares == pytest.approx(PUBLISHED, abs=0.005)  # so this is what the paper computed
    trust = Trust("1234")
    for row in TABLE:
        trust = trust.after(votes_of(row))
    decided = [trust.agreed(votes_of(row), 0.0) for row in TABLE]
    same = sum(str(1 + int(np.argmax(mine))) == other for mine, other in zip(classes, decided, strict=True))
    assert same >= 42  # of 45; who calls a 4 a 3 is what one number cannot say
    for name, table in zip(("2", "3", "4", "5"), errors[1:], strict=True):
        assert trust.reliability(name) == pytest.approx(float(shares @ np.diag(table)), abs=0.1)
    assert trust.distrusted(0.5) == []


def crowd(honest: int, lying: int, questions: int, *, classes: int = 3, gold: float = 0.0, each: int = 3):
    """Return the trust learned, and (votes, truth) of each question; liars all say the next class."""
    rng = random.Random(5)
    labels = [f"c{number}" for number in range(classes)]
    names = [f"h{n}" for n in range(honest)] + [f"l{n}" for n in range(lying)]
    trust, asked = Trust(labels), []
    for _ in range(questions):
        truth = rng.randrange(classes)
        votes = {}
        for name in rng.sample(names, each):
            wrong = name.startswith("l") or rng.random() < 0.05
            votes[name] = labels[(truth + wrong) % classes]
        asked.append((votes, labels[truth]))
        trust = trust.after(votes, labels[truth] if rng.random() < gold else None)
    return trust, asked


@pytest.mark.parametrize("lying", [1, 2, 3])
def test_liars_who_agree_with_each_other_are_named_and_outvoted(lying):
    trust, asked = crowd(10 - lying, lying, 400)
    assert trust.distrusted(0.5) == [f"l{n}" for n in range(lying)]
    late = asked[200:]
    plain = sum(Counter(votes.values()).most_common(1)[0][0] == truth for votes, truth in late)
    guarded = sum(trust.agreed(votes) == truth for votes, truth in late)
    assert guarded > plain
    assert guarded / len(late) > 0.93


def test_gold_questions_name_liars_who_are_the_majority():
    without, _ = crowd(4, 6, 400)
    with_gold, _ = crowd(4, 6, 400, gold=0.3)
    assert without.distrusted(0.5) != [f"l{n}" for n in range(6)]
    assert set(with_gold.distrusted(0.5)) == {f"l{n}" for n in range(6)}


def test_one_answer_tells_nothing_about_who_gave_it_without_gold():
    trust = Trust(("a", "b"))
    assert trust.after({"ann": "a"}).counts == {}
    assert trust.after({"ann": "a"}, "b").counts == {"ann": (0.0, 1.0)}


def test_an_unknown_annotator_is_supposed_to_be_mostly_right():
    trust = Trust(("a", "b"))
    assert trust.reliability("new") == pytest.approx(0.8)
    assert trust.agreed({"new": "b"}) == "b"
    assert trust.agreed({"one": "a", "two": "b"}) is None


votes_strategy = st.lists(
    st.dictionaries(
        st.sampled_from(["ann", "bob", "cem", "dan"]), st.sampled_from(["a", "b", "c"]), max_size=4
    ),
    max_size=30,
)


@given(votes_strategy, st.booleans())
def test_probabilities_are_shares_and_counts_are_the_answers_compared(history, gold):
    trust = Trust(("a", "b", "c"))
    for votes in history:
        trust = trust.after(votes, "a" if gold else None)
        assert sum(trust.probabilities(votes).values()) == pytest.approx(1.0)
    given = Counter(name for votes in history if gold or len(votes) > 1 for name in votes)
    assert {name: pytest.approx(sum(both)) for name, both in trust.counts.items()} == given


@given(votes_strategy)
def test_the_order_of_the_votes_within_a_question_is_of_no_account(history):
    one = other = Trust(("a", "b", "c"))
    for votes in history:
        one = one.after(votes)
        other = other.after(dict(reversed(votes.items())))
    assert one == other


@pytest.mark.parametrize(("classes", "right"), [((), 4.0), (("a", "a"), 4.0), (("a", "b"), 0.0)])
def test_what_is_no_beginning_is_refused(classes, right):
    with pytest.raises(ValueError, match=r"give two or more|must be above 0"):
        Trust(classes, right=right)
