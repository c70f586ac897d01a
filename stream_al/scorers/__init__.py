"""Exact scorers: the numbers of River's ``predict_proba_one``, bit for bit, at a fraction of the cost.

Most of what River spends on an answer is Python's overhead: dictionaries copied, methods looked up, statistics
derived anew from state that only learning changes. As labels are rare, deriving them once per learned example
pays. There is one module for each family of models:

- `linear`: logistic, one-vs-rest and softmax regression, behind scalers or not (`scalers`);
- `naive_bayes`: all four of them;
- `trees`: Hoeffding trees, whatever their leaves predict by;
- `forests`: adaptive random forests over such trees.

Which one applies follows from the exact types (`scorer_of`), never from a setting. What has none is asked
through River; so is any event that a scorer stumbles over, so that errors too are River's own. Each
does the same operations on the same floats in the same order as River, and `tests/scorers` holds it to ``==``.
"""

from __future__ import annotations

from stream_al.scorers.base import Scorer, ThroughRiver
from stream_al.scorers.choice import scorer_of

__all__ = ["Scorer", "ThroughRiver", "scorer_of"]
