"""What a probe is of: the model, where it was taught and on what it is attacked; and the result in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stream_al.robustness.probe import FGSM, Attack, Findings


@dataclass(frozen=True, slots=True)
class Setting:
    """What must be known to judge the findings.

    Parameters
    ----------
    source
        Where the events are from.
    model
        The model's name.
    learned
        How many examples it learned.
    answered, right
        How many events whose class is known it answered, and how many of those rightly.
    """

    source: str
    model: str
    learned: int
    answered: int
    right: int

    @property
    def accuracy(self) -> float | None:
        """The share answered rightly; None where no class is known."""
        return self.right / self.answered if self.answered else None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "source": self.source,
            "model": self.model,
            "learned": self.learned,
            "answered": self.answered,
            "accuracy": self.accuracy,
        }


def heading(setting: Setting) -> str:
    """Return what was probed, in a line."""
    found = f"{setting.source} · {setting.model} · {setting.learned:,} examples learned"
    if setting.accuracy is not None:
        found += f" · {setting.accuracy:.1%} of {setting.answered:,} others right"
    return found


def sentences(findings: Findings) -> list[str]:
    """Return the result in words, a sentence for each attack."""
    wanted = "something else" if findings.target is None else f"“{findings.target}”"
    return [_sentence(attack, wanted, findings) for attack in findings.attacks]


def _sentence(attack: Attack, wanted: str, findings: Findings) -> str:
    every = attack.name == FGSM
    how = f"Moving every feature by at most {findings.within:.3g} of its spread"
    if not every:
        how = f"Changing {attack.name} within the range of the data"
    found = f"{how} makes the model answer {wanted} for {len(attack.fooled):,} of {attack.tried:,} events"
    if not attack.fooled:
        found = f"{how} was not found to make the model answer {wanted} for any of {attack.tried:,} events"
    elif every and attack.median is not None:
        found += f"; for half of them {attack.median:.2g} is enough"
    if not every:
        return f"{found}."
    return f"{found}. Random changes of that size do it {findings.noise[-1][1]:.0%} of the time."


def notes(findings: Findings) -> list[str]:
    """Return what must be known to judge the numbers."""
    found = [
        "Attacks find changes; that none was found is no proof that there is none. A spread is a feature's standard "
        "deviation in the data."
    ]
    first = findings.attacks[0]
    if findings.exact:
        found.append(
            "The model is linear, so for moving all features the change found is the least there is (to 0.1 %)."
        )
    elif first.flat:
        found.append(
            f"Around {first.flat:,} of {first.tried:,} events the model is constant (as trees are, piece by piece), so "
            "there is no slope that says which way to move; the attack on few features needs none."
        )
    if findings.space.fixed:
        names = ", ".join(findings.space.fixed[:5]) + (", …" if len(findings.space.fixed) > 5 else "")
        found.append(
            f"Not changed, as text, yes-or-no or constant: {len(findings.space.fixed)} features ({names})."
        )
    return found
