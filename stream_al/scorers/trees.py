"""Hoeffding trees: the walk without recursion, and leaves whose constants are worked out once.

River's walk is a generator within a generator for every level; its leaves copy and normalise their counts, or look up
every statistic of every class, for every event. Here the walk is a loop over the live nodes, and a leaf that is
come to a third time is compiled. One learned example changes one leaf: the others stay compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, inf, log, tau
from typing import Any, Final, TypeAlias

from river.proba import Gaussian
from river.tree.nodes.arf_htc_nodes import (
    RandomLeafMajorityClass,
    RandomLeafNaiveBayes,
    RandomLeafNaiveBayesAdaptive,
)
from river.tree.nodes.branch import DTBranch, NumericBinaryBranch
from river.tree.nodes.htc_nodes import LeafMajorityClass, LeafNaiveBayes, LeafNaiveBayesAdaptive
from river.tree.splitter import GaussianSplitter
from river.tree.splitter.nominal_splitter_classif import NominalSplitterClassif
from river.utils.norm import normalize_values_in_dict

from stream_al.scorers.base import Ask, Features, Scorer

_MAJORITY: Final = (LeafMajorityClass, RandomLeafMajorityClass)
_BAYES: Final = (LeafNaiveBayes, RandomLeafNaiveBayes)
_ADAPTIVE: Final = (LeafNaiveBayesAdaptive, RandomLeafNaiveBayesAdaptive)
_LEAVES: Final = {*_MAJORITY, *_BAYES, *_ADAPTIVE}
_MOST_LEAVES: Final = 10_000
"""How many leaves are kept compiled: a bound on memory."""

_HALF_LOG_TAU: Final = 0.5 * log(tau)
_NEW: Final = (None, object(), 0)

Term: TypeAlias = tuple[str, Any, float | None, float]
"""What one feature adds to the log-likelihood of one class: (name, mean, −2·variance, ½·log variance) of a number;
(name, logarithms by value, None, 0.0) of a text."""


class TreeScorer(Scorer):
    """Answers for one Hoeffding tree; a class that its leaf has not seen may be left out."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree
        self._leaves: dict[Any, tuple[Ask | None, Any, int]] = {}
        """Each leaf come to since it learned: its function, the splitters that was made from, and the visits before."""

    def __call__(self, x: Features) -> Mapping[Any, float]:  # noqa: D102
        answer = self.votes(x)
        if len(answer) == len(self.tree.classes):
            return answer
        return {**dict.fromkeys(self.tree.classes, 0.0), **answer}

    def votes(self, x: Features) -> Mapping[Any, float]:
        """Return the answer of the leaf for x."""
        leaf = leaf_of(self.tree, x)
        if leaf is None:
            return {}
        ask, splitters, visits = self._leaves.get(leaf, _NEW)
        if ask is None or splitters is not leaf.splitters:
            ask = self._visited(leaf, x, visits if splitters is leaf.splitters else 0)
        try:
            if ask is not None:
                return ask(x)
        except Exception:  # a text for a number, an overflow: River says what it thinks of it
            pass
        return leaf.prediction(x, tree=self.tree)  # type: ignore[no-any-return]

    def _visited(self, leaf: Any, x: Features, visits: int) -> Ask | None:
        """Compile a leaf once that is worth it: it costs what two answers do, or many if events have few of the
        names that the leaf knows.
        """  # noqa: D205
        ask = None
        if visits > 1 and visits * len(x) >= 2 * len(leaf.splitters or ()):
            ask = compile_leaf(leaf, self.tree)
        if len(self._leaves) >= _MOST_LEAVES:
            self._leaves.clear()
        self._leaves[leaf] = ask, leaf.splitters, visits + 1
        return ask

    def forget(self, x: Features | None) -> None:
        """Drop the leaf that x leads to."""
        if x is None or not self._leaves:
            self._leaves.clear()
            return
        try:
            self._leaves.pop(leaf_of(self.tree, x), None)
        except Exception:  # learning will stumble over it too, and then be undone
            self._leaves.clear()


def leaf_of(tree: Any, x: Features) -> Any:
    """Return the leaf that River would ask, None in an empty tree."""
    node = tree._root
    while True:
        try:
            while type(node) is NumericBinaryBranch:
                node = node.children[0 if x[node.feature] <= node.threshold else 1]
            if type(node) in _LEAVES or not isinstance(node, DTBranch):
                return node
            node = node.next(x)
        except KeyError:  # a missing feature, or an unseen value of one with a branch for each
            node = node.most_common_path()[1]


def compile_leaf(leaf: Any, tree: Any) -> Ask:
    """Return what gives the leaf's answers until it learns."""
    try:
        return _compiled(leaf, tree)
    except Exception:  # of a kind, or in a state, that this was not written for
        return lambda x: leaf.prediction(x, tree=tree)


def _compiled(leaf: Any, tree: Any) -> Ask:
    kind = type(leaf)
    if kind not in _LEAVES:
        raise TypeError(kind)
    bayes = leaf.is_active() and (
        (kind in _BAYES and leaf.total_weight >= tree.nb_threshold)
        or (kind in _ADAPTIVE and leaf._nb_correct_weight >= leaf._mc_correct_weight)
    )
    if not bayes:
        answer = normalize_values_in_dict(leaf.stats, inplace=False)
        return lambda x: answer.copy()  # what is handed out may be changed
    return _bayes(leaf.stats, leaf.splitters)


def _bayes(stats: Mapping[Any, float], splitters: Mapping[str, Any]) -> Ask:
    """Compile ``river.tree.utils.do_naive_bayes_prediction``."""
    total = sum(stats.values())
    if not stats or total == 0:
        return lambda x: {}
    classes: list[tuple[Any, float, dict[str, Term]]] = []
    for label, weight in stats.items():
        if not weight > 0:
            classes.append((label, 0.0, {}))
            continue
        terms = {name: _TERMS[type(of)](of, name, label) for name, of in splitters.items()}
        classes.append((label, log(weight / total), {n: term for n, term in terms.items() if term}))
    names = tuple(splitters)

    def ask(x: Features) -> Mapping[Any, float]:
        try:
            return _votes(classes, x)
        except KeyError:
            here = [name for name in names if name in x]
            some = [(label, prior, {n: of[n] for n in here if n in of}) for label, prior, of in classes]
            return _votes(some, x)

    return ask


def _votes(classes: list[tuple[Any, float, dict[str, Term]]], x: Features) -> dict[Any, float]:
    votes = {}
    for label, vote, terms in classes:
        for name, mean, spread, constant in terms.values():
            if spread is None:
                vote += mean.get(x[name], 0.0)
            elif (density := (x[name] - mean) ** 2 / spread - _HALF_LOG_TAU - constant) > -inf:
                vote += density
        votes[label] = vote
    most = max(votes.values())
    scale = most + log(sum([exp(vote - most) for vote in votes.values()]))
    return {label: exp(vote - scale) for label, vote in votes.items()}


def _number(splitter: Any, name: str, label: Any) -> Term | None:
    gaussian = splitter._att_dist_per_class.get(label)
    if gaussian is None:
        return None
    if type(gaussian) is not Gaussian:
        raise TypeError(type(gaussian))
    spread = gaussian._var
    count = spread.mean.n
    if not count > spread.ddof:
        return None
    variance = spread._S / (count - spread.ddof)
    return (name, spread.mean._mean, -2.0 * variance, 0.5 * log(variance)) if variance > 0.0 else None


def _text(splitter: Any, name: str, label: Any) -> Term | None:
    counts = splitter._att_dist_per_class.get(label)
    if not counts:
        return None
    total = sum(counts.values())
    shares = {value: count / total if total else 0.0 for value, count in counts.items()}
    return name, {value: log(share) if share > 0 else 0.0 for value, share in shares.items()}, None, 0.0


_TERMS: Final[dict[Any, Any]] = {GaussianSplitter: _number, NominalSplitterClassif: _text}
