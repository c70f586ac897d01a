"""What a strategy may want to know of an event besides the probabilities: only the model can tell it.

It is computed while the event is scored, by the model that scores it, and only where the strategy wants it
(`QueryStrategy.wants`). So it is the same in every replica and in `verify`, and costs nothing where nobody asks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from hashlib import blake2b
from math import log, sqrt
from typing import Any, Final

import msgspec
from river import base, linear_model, multiclass, preprocessing

from stream_al.errors import ModelError
from stream_al.fragility import Boundaries
from stream_al.records import FeatureValue
from stream_al.uncertainty import CHANGE, COMMITTEE, DISTANCE, FRAGILITY, SKETCH, SKETCH_BITS, Scores

_LINEAR: Final = (linear_model.LogisticRegression, linear_model.SoftmaxRegression)


class Insight:
    """Looks at events with one estimator, for what a strategy wants.

    Parameters
    ----------
    estimator
        A classifier, or a pipeline that ends in one; it is asked, not changed.
    wants
        Of `stream_al.uncertainty`: ``CHANGE``, ``COMMITTEE``, ``FRAGILITY``, ``SKETCH``, ``DISTANCE``.

    Raises
    ------
    ModelError
        When it is no linear model, has no members or no scaler, and that is wanted.

    Examples
    --------
    >>> from river.linear_model import LogisticRegression
    >>> from stream_al.uncertainty import scores
    >>> look = Insight(LogisticRegression(), {CHANGE})
    >>> [round(look({"x": x}, scores({False: 0.4, True: 0.6})).worth, 3) for x in (0.0, 2.0)]
    [0.324, 0.518]
    """

    def __init__(self, estimator: Any, wants: Collection[str]) -> None:
        steps = list(estimator.steps.values()) if hasattr(estimator, "steps") else [estimator]
        *before, last = [step for step in steps if not isinstance(step, base.AnomalyFilter)]
        self._transforms = [step.transform_one for step in before]
        self._members: list[Any] = []
        if COMMITTEE in wants:
            if not isinstance(last, base.Ensemble):
                raise ModelError(
                    f"utility = {COMMITTEE!r}: {type(last).__name__} has no members that could disagree; use an ensemble "
                    "such as river.forest.ARFClassifier, or another utility"
                )
            self._members = list(last)
        inner = last.classifier if isinstance(last, multiclass.OneVsRestClassifier) else last
        if CHANGE in wants and not isinstance(inner, _LINEAR):
            raise ModelError(
                f"utility = {CHANGE!r}: {type(last).__name__} is not learned by gradients known here; use logistic or "
                "softmax regression, behind transformers if need be, or another utility"
            )
        self._boundaries = Boundaries(last) if FRAGILITY in wants else None
        if DISTANCE in wants and not any(isinstance(step, preprocessing.StandardScaler) for step in before):
            raise ModelError(
                f"[guard] outlier: {type(last).__name__} has no scaler before it that knows how far features spread; put a "
                "river.preprocessing.StandardScaler before it, or leave outlier out"
            )
        self._change, self._sketch, self._distance = CHANGE in wants, SKETCH in wants, DISTANCE in wants

    def __call__(self, features: Mapping[str, FeatureValue], scores: Scores) -> Scores:
        """Return the scores with what is wanted; ``features`` in the model's canonical order."""
        x: Any = features
        for transform in self._transforms:
            x = transform(x)
        worth, seen, far = scores.worth, scores.sketch, scores.distance
        if self._members:
            worth = vote_entropy([member.predict_proba_one(x) for member in self._members])
        elif self._change:
            change = expected_change(x, scores.probabilities)
            worth = change / (1.0 + change)
        elif self._boundaries is not None:
            worth = 1.0 / (1.0 + self._boundaries.distance(x))
        if self._sketch:
            seen = sketch(x)
        if self._distance:
            far = distance(x)
        return msgspec.structs.replace(scores, worth=worth, sketch=seen, distance=far)


def expected_change(x: Mapping[Any, float], probabilities: Mapping[Any, float]) -> float:
    """Return the expected length of the gradient that one label gives a linear model with log loss.

    Settles, Craven & Ray (2008), "Multiple-instance active learning", NIPS 20: the mean over the classes y, by their
    probabilities, of |∇ loss(y)|. Of softmax regression that is |p − e_y|·|x|, of logistic regression |p − y|·|x|;
    here the former divided by √2, which is the latter for two classes. One-vs-rest is taken as softmax. The constant
    that belongs to the intercept counts as a feature of 1.

    Examples
    --------
    >>> round(expected_change({"a": 3.0, "b": 4.0}, {False: 0.5, True: 0.5}) / 26**0.5, 9)
    0.5
    """
    squares = sum(p * p for p in probabilities.values())
    # |p − e_y|² is the sum of the squares with (1 − p_y)² for p_y².
    mean = sum(p * sqrt(max(0.0, squares + 1.0 - 2.0 * p)) for p in probabilities.values())
    return mean * sqrt((1.0 + sum(value * value for value in x.values())) / 2.0)


def vote_entropy(answers: Collection[Mapping[Any, float]]) -> float:
    """Return how far the members of a committee disagree: 0 when all vote for one class, 1 when as evenly as can be.

    Query by committee (Seung, Opper & Sompolinsky 1992, COLT) as Dagan & Engelson (1995), "Committee-based sampling",
    ICML, measure it: the entropy of the votes, divided by the logarithm of the number of members or classes, whichever is
    smaller. Members that know nothing do not vote.

    Examples
    --------
    >>> vote_entropy([{"a": 0.9, "b": 0.1}, {"a": 0.4, "b": 0.6}])
    1.0
    >>> vote_entropy([{"a": 0.9, "b": 0.1}, {"a": 0.6, "b": 0.4}])
    0.0
    """
    votes: dict[Any, int] = {}
    labels: set[Any] = set()
    for answer in answers:
        if answer:
            labels.update(answer)
            vote = max(sorted(answer), key=answer.__getitem__)
            votes[vote] = votes.get(vote, 0) + 1
    voters = sum(votes.values())
    if not voters:
        return 1.0  # nothing is known
    if len(votes) < 2:
        return 0.0
    shares = sorted(count / voters for count in votes.values())
    return min(1.0, -sum(share * log(share) for share in shares) / log(min(voters, len(labels))))


def sketch(x: Mapping[Any, Any]) -> int:
    """Return on which side of `SKETCH_BITS` random hyperplanes a vector lies; near vectors differ in few bits.

    Charikar (2002), "Similarity estimation techniques from rounding algorithms", STOC, doi 10.1145/509907.509965: two
    vectors at an angle θ differ in each bit with probability θ/π. The hyperplanes have weights of ±1, from a hash of the
    feature's name, so that they need not be kept. A text counts as a feature of that name and value.

    Examples
    --------
    >>> a, b, c = (sketch({"x": x, "y": y}) for x, y in ((1.0, 2.0), (1.0, 2.1), (-1.0, -2.0)))
    >>> (a ^ b).bit_count(), (a ^ c).bit_count()
    (0, 24)
    """
    sums = [0.0] * SKETCH_BITS
    for name, value in x.items():
        if isinstance(value, str):
            name, value = f"{name}={value}", 1.0
        for place, sign in enumerate(_signs(str(name))):
            sums[place] += sign * value
    found = 0
    for total in sums:
        found = 2 * found + (total > 0.0)
    return found


def distance(x: Mapping[Any, Any]) -> float:
    """Return how far a standardised vector is from the mean: the root of the mean of its squares; texts do not count.

    Of what the scaler learned, the mean of the squares is 1 in every feature; so by Markov's inequality no more than a share
    of 1/k² of it is further away than k, however it is distributed.

    Examples
    --------
    >>> distance({"x": 3.0, "y": 4.0, "word": "spam"})
    3.5355339059327378
    """
    squares = [value * value for value in x.values() if not isinstance(value, str)]
    return sqrt(sum(squares) / len(squares)) if squares else 0.0


@lru_cache(maxsize=1 << 14)
def _signs(name: str) -> tuple[int, ...]:
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=SKETCH_BITS // 8).digest()
    bits = int.from_bytes(digest)
    return tuple(1 if bits >> place & 1 else -1 for place in range(SKETCH_BITS))
