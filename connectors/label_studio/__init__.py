"""A bridge to Label Studio: open queries become tasks, annotations become labels.

Guarantee: exactly once, by reconciliation. Each round compares what the project holds with what the store holds, and
does what is missing; a label enters the store in one transaction with the note of it. So a bridge may die between any two
requests, and be started again. Nothing is deduplicated by Label Studio itself: run one bridge for a project and a store.
"""

from connectors.label_studio.bridge import Bridge, Round, TaskBook
from connectors.label_studio.client import LabelStudio
from connectors.label_studio.project import Control, control_of

__all__ = ["Bridge", "Control", "LabelStudio", "Round", "TaskBook", "control_of"]
