"""A simulated human oracle: knows the true classes, and answers late, out of order, wrongly or never.

A simulation, for demos, replays and tests. Nothing in it is a clock or a generator: time is the number of the
event, or what the events say, and what happens to which question is a keyed hash of the event's id.
"""

from __future__ import annotations

import json
from bisect import insort
from collections.abc import Iterator, Sequence
from typing import Any

from stream_al.codec import EventRow, QueryRow
from stream_al.draws import Draws
from stream_al.ports import NEVER, IncomingLabel, LabelledRow, Position
from stream_al.records import ClassLabel, Label, class_text
from stream_al.replay.latency import Clock
from stream_al.replay.people import Crowd


class SimulatedOracle:
    """Answers queries as a crowd of people would.

    A label source whose position is the answers still to come, so that a restarted run goes on with them.

    Parameters
    ----------
    crowd
        Who answers, and how.
    key
        Decides which answers are late, wrong, or never come.
    clock
        When the stream's events were, if the crowd's times are not counted in events.
    """

    def __init__(self, crowd: Crowd | None = None, key: str = "oracle", clock: Clock | None = None) -> None:
        self._crowd = crowd or Crowd()
        self._clock = clock or Clock()
        self._late = Draws(key, "oracle")
        self._behave = Draws(key, "behave")
        self._pending: list[tuple[int, int, str, ClassLabel | None, int]] = []
        """Due, turn, event, answer, and whose it is; sorted."""
        self._turn = 0
        self._free = [0.0] * len(self._crowd.people)
        """When each takes up the next question, at the soonest."""
        self._rounds: dict[str, dict[str, Any]] = {}
        """Of questions that may go to somebody else yet: the truth, who has not had it, and the votes."""

    @property
    def due(self) -> float:
        """Return the event number before which the next answer comes."""
        return self._pending[0][0] if self._pending else NEVER

    @property
    def lag(self) -> float:
        """Return how many events after the one asked about its answer comes, at least: before the next is 1."""
        return self._crowd.least + 1

    @property
    def position(self) -> Position:
        """Return the answers still to come, and what decides about those after them."""
        return {
            "asked": self._turn,
            "pending": [list(answer) for answer in self._pending],
            "free": list(self._free),
            "rounds": {event_id: dict(state) for event_id, state in self._rounds.items()},
        }

    def seek(self, position: Position) -> None:
        """Take over the answers still to come."""
        position = position or {"asked": 0, "pending": []}
        self._turn = position["asked"]
        self._pending = [(due, turn, name, label, who) for due, turn, name, label, who in position["pending"]]
        self._free = list(position.get("free", [0.0] * len(self._crowd.people)))
        self._rounds = {event_id: dict(state) for event_id, state in position.get("rounds", {}).items()}

    def asked(self, query: QueryRow, event: EventRow, number: int) -> None:
        """Look the answers up, and note when they come, if anybody knows."""
        if not isinstance(event, LabelledRow) or event.truth is None:
            return
        everybody = len(self._crowd.people)
        first = int(self._behave(f"first/{query.event_id}") * everybody) if everybody > 1 else 0
        order = [(first + n) % everybody for n in range(everybody)]
        now, quorum = self._clock.time(number), self._crowd.rules.quorum
        rest = order[quorum:]
        if rest or quorum > 1:
            state: dict[str, Any] = {"truth": event.truth, "rest": rest, "votes": [], "out": quorum}
            if self._crowd.rules.second_opinion is not None and query.predicted is not None:
                chance = query.probabilities.get(class_text(query.predicted), 0.0)
                state["model"] = [query.predicted, chance]
            self._rounds[query.event_id] = state
        for who in order[:quorum]:
            self._ask(query.event_id, event.truth, who, now, number)

    def _ask(self, event_id: str, truth: ClassLabel, who: int, now: float, number: int) -> None:
        """Give a question to somebody."""
        person = self._crowd.people[who]
        question = f"{event_id}/{person.name}" if len(self._crowd.people) > 1 else event_id
        label, says = person.answer(truth, self._crowd.classes, self._behave, question)
        if not says:
            return
        taken = now
        if person.pause:
            taken = max(now, self._free[who])
            self._free[who] = taken + person.pause
        wait = person.latency.draw(self._late(question))
        at = taken + wait if self._crowd.hours is None else self._crowd.hours.after(taken, wait)
        due = max(self._clock.number(at), number)
        insort(self._pending, (due, self._turn, event_id, label, who), key=lambda answer: answer[:2])
        self._turn += 1

    def poll(self, events: float) -> Sequence[IncomingLabel]:
        """Return the answers due by now, in the order they became due."""
        return [
            IncomingLabel(json.dumps(answer).encode(), f"oracle:{turn + 1}")
            for turn, answer in self._due(events)
        ]

    def answers(self, events: float) -> list[Label]:
        """Return what `poll` returns, as the labels that it would be read as."""
        return [Label.model_validate(answer) for _, answer in self._due(events)]

    def _due(self, events: float) -> Iterator[tuple[int, dict[str, object]]]:
        """Yield the answers due by now, and which turns they are, as they are taken off the pending ones."""
        while self._pending and self._pending[0][0] <= events:
            due, turn, event_id, label, who = self._pending.pop(0)
            record: dict[str, object] = {"event_id": event_id, "annotator": self._crowd.people[who].name}
            record |= {"abstain": "unsure"} if label is None else {"label": label}
            yield turn, record
            if event_id in self._rounds:
                self._pass_on(event_id, label, due)

    def _pass_on(self, event_id: str, label: ClassLabel | None, due: int) -> None:
        """Give a question to the next, when the answers to it do not suffice."""
        state = self._rounds[event_id]
        state["out"] -= 1
        if label is not None:
            state["votes"] = [*state["votes"], label]
        rules, votes = self._crowd.rules, state["votes"]
        needed = rules.needed(votes, *state.get("model", (None, 0.0)))
        agreed = len(votes) >= needed and rules.agreed(votes) is not None
        enough = agreed or len(votes) >= rules.max_answers
        if enough or (not state["rest"] and not state["out"]):
            del self._rounds[event_id]
        elif state["rest"] and not state["out"]:
            who, *state["rest"] = state["rest"]
            state["out"] = 1
            self._ask(event_id, state["truth"], who, self._clock.time(max(due, 1)), due)

    def close(self) -> None:
        """Do nothing."""
