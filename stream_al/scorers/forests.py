"""Adaptive random forests: the trees' votes, added up as River's `Counter` would, without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream_al.scorers.base import Features, Scorer
from stream_al.scorers.trees import TreeScorer


class ForestScorer(Scorer):
    """Answers for a `river.forest.ARFClassifier`."""

    def __init__(self, forest: Any) -> None:
        self._forest = forest
        self._trees: list[TreeScorer] = []
        self._members: list[tuple[TreeScorer, list[Any], float | None]] = []
        """Each tree with its sorted classes and the weight of its vote; empty after an example."""

    def __call__(self, x: Features) -> Mapping[Any, float]:  # noqa: D102
        votes: dict[Any, float] = {}
        for tree, classes, weight in self._members or self._counted():
            answer = tree.votes(x)
            for label in classes:
                vote = answer.get(label, 0.0)
                if weight is not None:
                    vote *= weight
                votes[label] = vote + votes.get(label, 0)
        total = sum(votes.values())
        return {label: vote / total for label, vote in votes.items()} if total > 0 else votes

    def _counted(self) -> list[tuple[TreeScorer, list[Any], float | None]]:
        """Look at the members again: a drift may have replaced any of them, and their weights have changed."""
        forest = self._forest
        known = {id(scorer.tree): scorer for scorer in self._trees}
        self._trees = [known.get(id(tree)) or TreeScorer(tree) for tree in forest.data]
        for scorer, metric in zip(self._trees, forest._metrics, strict=True):
            weight = metric.get()
            weighted = not forest.disable_weighted_vote and weight > 0.0
            self._members.append((scorer, sorted(scorer.tree.classes), weight if weighted else None))
        return self._members

    def forget(self, x: Features | None) -> None:
        """Drop in each tree the leaf that x leads to, and the weights of the votes."""
        self._members = []
        for tree in self._trees:
            tree.forget(x)
