"""Pools: records that are all there from the beginning. Label a few that stand for many, and teach all of them.

Groups of similar records have representatives, which people label; the labels are propagated to the rest of the group,
with less weight, and marked. It is what a stream's cold start can be bought with, before there is a model to ask.
"""

from stream_al.pool.groups import Group, grouped
from stream_al.pool.propagation import Propagated, examples, propagated
from stream_al.pool.vectors import Embed, embedded, vectors

__all__ = ["Embed", "Group", "Propagated", "embedded", "examples", "grouped", "propagated", "vectors"]
