"""What all sections of a configuration share."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section: no other keys, and not to be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def duration(value: object) -> object:
    """Read ``"7d"``: s, m, h or d."""
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    if isinstance(value, str) and value[-1:] in units and value[:-1].replace(".", "", 1).isdigit():
        return timedelta(**{units[value[-1]]: float(value[:-1])})
    return value


def defaults(section: BaseModel) -> set[str]:
    """Return the keys that have their default value, given or not."""
    return {name for name, f in type(section).model_fields.items() if getattr(section, name) == f.default}
