"""``[gold]``: questions whose answers are known, mixed among the queries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from stream_al.config.base import Section
from stream_al.errors import ConfigError
from stream_al.gold import Gold, GoldQuestion
from stream_al.records import MAX_NAME, Event


class GoldQuestionConfig(Section):
    """One of ``[gold] questions``, or a line of the file that ``path`` names."""

    id: str = Field(min_length=1, max_length=MAX_NAME)
    features: dict[str, float | int | bool | str] = Field(min_length=1)
    label: bool | int | str
    display: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _as_an_event(self) -> GoldQuestionConfig:
        Event(id=self.id, features=self.features, display=self.display)  # which says what is wrong
        return self


class GoldConfig(Section):
    """``[gold]``: which there are, and how often one is asked."""

    path: Path | None = None
    share: float = Field(0.05, gt=0, le=0.5)
    questions: tuple[GoldQuestionConfig, ...] = ()

    @model_validator(mode="after")
    def _one_id_each(self) -> GoldConfig:
        if len({question.id for question in self.questions}) < len(self.questions):
            raise ValueError("questions: each needs an id of its own")
        return self

    def read(self, base: Path) -> GoldConfig:
        """Return it with the questions of the file, which is read once: they are part of the configuration.

        Raises
        ------
        ConfigError
            Naming file, line and what is wrong.
        """
        if self.path is None:
            return self
        path = base / self.path
        found = list(self.questions)
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"[gold] path: {path} cannot be read: {error}") from None
        for number, line in enumerate(lines, start=1):
            try:
                found.append(GoldQuestionConfig.model_validate(json.loads(line)))
            except (ValidationError, ValueError) as error:
                told = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
                raise ConfigError(
                    f"[gold] path: {path}, line {number}: {told}; "
                    'write {"id": …, "features": {…}, "label": …} a line'
                ) from None
        if len({question.id for question in found}) < len(found):
            raise ConfigError(f"[gold] path: {path}: an id is there twice; each question needs its own")
        return self.model_copy(update={"path": path, "questions": tuple(found)})

    def gold(self) -> Gold | None:
        """Return the gold questions; None where there are none."""
        questions = [GoldQuestion(q.id, q.features, q.label, q.display) for q in self.questions]
        return Gold(questions, self.share) if questions else None
