"""One round of the bridge: what the project holds and what the store holds are compared, and what is missing is done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from connectors.label_studio.client import LabelStudio
from connectors.label_studio.project import QUERY_ID, Control
from stream_al.records import ClassLabel, Label, Query

BATCH: Final = 50
"""Tasks imported at once: what a timeout leaves in doubt, and has to be looked up again."""

Said = dict[str, ClassLabel]
"""The fields of a label that tell the answer: ``label`` or ``abstain``."""


class TaskBook(Protocol):
    """The store as the bridge sees it."""

    def statuses(self) -> dict[str, str]:
        """Return the status of every query, by event."""

    def open_queries(self) -> Iterable[Query]:
        """Yield the open queries, those worth most first."""

    def said(self) -> dict[str, dict[str, Said]]:
        """Return what was sent last of each event and annotator."""

    def send(self, labels: Sequence[Label]) -> None:
        """Put labels where the worker finds them, and note that they were sent, all or nothing."""


@dataclass(slots=True)
class Round:
    """What one round did."""

    imported: int = 0
    labels: int = 0
    deleted: int = 0
    notices: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Tell whether anything happened."""
        return bool(self.imported or self.labels or self.deleted or self.notices)


@dataclass(slots=True)
class _Asked:
    """What a project holds of one event."""

    tasks: list[int] = field(default_factory=list)
    untouched: list[int] = field(default_factory=list)
    """Tasks nobody has annotated or skipped."""
    answers: dict[str, tuple[tuple[bool, str, int], dict[str, Any]]] = field(default_factory=dict)
    """By annotator: their annotation that counts, after what makes it the one."""


class Bridge:
    """A bridge between a project and a store.

    Of an annotator the last annotation that was no skip counts; skips alone say "skip". What differs from what was sent
    before is sent: an edit as another label, a deleted annotation as an abstention. Tasks that nobody ever answered are
    deleted when their query is closed; all others stay, so that they can be corrected. The annotations of a task that
    is deleted in Label Studio stay valid: tidying up a project is no change of mind.

    Parameters
    ----------
    studio
        The project.
    book
        The store.
    control
        The choices that ask for the class.
    predictions
        Whether tasks show what the model thinks.
    """

    def __init__(
        self, studio: LabelStudio, book: TaskBook, control: Control, *, predictions: bool = True
    ) -> None:
        self._studio, self._book, self._control, self._predictions = studio, book, control, predictions
        self._noticed: set[str] = set()

    def round(self) -> Round:
        """Do what is missing, once.

        Raises
        ------
        StreamALError
            When the project or the store cannot be used. What was done stays done, and the next round does the rest.
        """
        done = Round()
        statuses = self._book.statuses()
        asked = self._look(statuses)
        self._take_answers(asked, done)
        self._import(asked, done)
        self._tidy(asked, done)
        return done

    def _look(self, statuses: dict[str, str]) -> dict[str, _Asked]:
        """Return what the project holds of the store's queries."""
        found: dict[str, _Asked] = {}
        for task in self._studio.tasks():
            event_id = task["data"].get(QUERY_ID)
            if not isinstance(event_id, str) or event_id not in statuses:
                continue  # not ours
            asked = found.setdefault(event_id, _Asked())
            asked.tasks.append(task["id"])
            if _is_untouched(task):
                asked.untouched.append(task["id"])
            for annotation in task["annotations"]:
                who = _annotator(annotation)
                rank = (
                    not annotation.get("was_cancelled"),
                    str(annotation.get("updated_at") or annotation.get("created_at") or ""),
                    annotation["id"],
                )
                if who not in asked.answers or asked.answers[who][0] < rank:
                    asked.answers[who] = (rank, annotation)
        return found

    # ── answers ──────────────────────────────────────────────────────────────────────────────────

    def _take_answers(self, asked: dict[str, _Asked], done: Round) -> None:
        said = self._book.said()
        labels: list[Label] = []
        for event_id, there in asked.items():
            before = said.get(event_id, {})
            for who, (_, annotation) in there.answers.items():
                answer = self._control.answer(annotation)
                if not _same(answer, before.get(who)):
                    labels += self._label(event_id, who, answer, annotation.get("updated_at"), done)
            for who, last in before.items():
                if who not in there.answers and "label" in last:  # deleted
                    labels += self._label(event_id, who, {"abstain": "skip"}, None, done)
        labels.sort(key=lambda label: label.timestamp or datetime.max.replace(tzinfo=UTC))
        if labels:
            self._book.send(labels)
        done.labels = len(labels)

    def _label(self, event_id: str, who: str, answer: Said, at: str | None, done: Round) -> list[Label]:
        try:
            return [Label.model_validate({"event_id": event_id, "annotator": who, "timestamp": at, **answer})]
        except ValueError as error:
            self._notice(done, f"{event_id}: what {who} said cannot be used ({error})")
            return []

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────

    def _import(self, asked: dict[str, _Asked], done: Round) -> None:
        batch: list[dict[str, Any]] = []
        for query in self._book.open_queries():
            if query.event_id in asked:
                continue
            task = self._control.task(query, predictions=self._predictions)
            if lacking := self._control.lacking(task):
                self._notice(
                    done,
                    f"{query.event_id}: no task, as the labelling interface shows {', '.join(lacking)}, which this event "
                    "does not have as a feature or in display",
                )
                continue
            batch.append(task)
            if len(batch) == BATCH:
                self._studio.import_tasks(batch)
                done.imported += len(batch)
                batch = []
        if batch:
            self._studio.import_tasks(batch)
            done.imported += len(batch)

    def _tidy(self, asked: dict[str, _Asked], done: Round) -> None:
        """Delete untouched tasks that nobody need answer: of closed queries, and second ones of open queries."""
        statuses, said = self._book.statuses(), self._book.said()
        for event_id, there in asked.items():
            if event_id in said and len(there.untouched) == len(there.tasks):
                continue  # an annotation was deleted, perhaps to make another one
            spare = list(there.untouched)
            if statuses.get(event_id) == "open" and len(spare) == len(there.tasks):
                spare.remove(min(spare))
            for number in spare:
                now = self._studio.task(number)  # somebody may have answered since it was listed
                if now is not None and _is_untouched(now):
                    self._studio.delete_task(number)
                    done.deleted += 1

    def _notice(self, done: Round, text: str) -> None:
        """Say something once."""
        if text not in self._noticed:
            self._noticed.add(text)
            done.notices.append(text)


def _annotator(annotation: dict[str, Any]) -> str:
    """Return the name an annotator's labels bear: the number of the user, which stays when an address changes."""
    return f"label-studio:{annotation.get('completed_by')}"


def _is_untouched(task: dict[str, Any]) -> bool:
    """Tell whether nobody has answered, skipped or begun a task; its ``drafts`` are only those of the token's user."""
    return not task.get("annotations") and not task.get("draft_exists")


def _same(one: Said, other: Said | None) -> bool:
    """Tell whether two answers are the same; ``1`` and ``True`` are not."""
    return other is not None and [(k, type(v), v) for k, v in one.items()] == [
        (k, type(v), v) for k, v in other.items()
    ]
