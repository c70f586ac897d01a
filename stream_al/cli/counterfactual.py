"""`stream-al counterfactual`: what another strategy would have cost and given, from the record of a pipeline that ran."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stream_al.replay.contenders import Contender
    from stream_al.replay.counterfactual import Counterfactual, Evidence
    from stream_al.replay.share import Figure
    from stream_al.strategies import QueryStrategy


def counterfactual_command(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="STORE|CONFIG",
            help="The pipeline's SQLite file; or its configuration (.toml), for one on Kafka.",
            show_default=False,
        ),
    ],
    strategy: Annotated[
        list[str],
        typer.Option(
            help="How it would have asked; may be given several times. A fixed threshold ('margin<0.2', "
            "'confidence<0.7', 'entropy>0.5'), margin, least-confidence, entropy, variable, selective, "
            "importance, balanced, apart, "
            "expected-change, fragility, committee (each within the budget), random, or all.",
            show_default=False,
        ),
    ],
    budget: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="The share of events to ask about.", show_default="the recorded one"
        ),
    ] = None,
    explore: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="The share of events to ask about whatever the model says.",
            show_default="a tenth of the budget; 0 for fixed thresholds",
        ),
    ] = None,
    cost_per_label: Annotated[
        float | None, typer.Option(min=0.0, help="What one answer costs.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what another strategy would have cost and given, from the record of a pipeline that ran.

    Each number is exact where the record determines it, estimated with a 95 % interval where people were asked
    about enough of such events, and else refused with the reason. The store is only read; a running worker is not
    disturbed.

    Example: stream-al counterfactual pipeline.db --strategy 'margin<0.2' --cost-per-label 0.50
    """
    from stream_al.cli.recorded import open_recording
    from stream_al.replay.counterfactual import Evidence

    evidence = Evidence(open_recording(target))
    learner = evidence.recording.make_learner()
    contenders = [_contender(text, budget, explore, learner.strategy) for text in strategy]
    found = [evidence.as_it_was(), *(evidence.of(contender) for contender in contenders)]
    price = None if cost_per_label is None else cost_per_label * learner.desk.rules.quorum
    if as_json:
        sys.stdout.write(json.dumps(_content(evidence, found, price), indent=1) + "\n")
    else:
        _show(evidence, found, price)


def _contender(text: str, budget: float | None, explore: float | None, recorded: QueryStrategy) -> Contender:
    from stream_al.replay.contenders import ALL, RANDOM, Contender, all_labels, parse_strategy
    from stream_al.strategies import Random

    rate = recorded.rate()
    if budget is None:
        budget = rate if rate < 1.0 else 0.1
    name = text.strip().lower()
    if name == ALL:
        return all_labels()
    if name == RANDOM:
        return Contender(RANDOM, f"asked at random, {budget:.3g} of the events", Random(budget))
    return parse_strategy(text, budget=budget, explore=explore)


def _content(evidence: Evidence, found: Sequence[Counterfactual], price: float | None) -> dict[str, Any]:
    def one(result: Counterfactual) -> dict[str, Any]:
        cost = {} if price is None else {"cost": result.questions * price}
        return {**result.to_json(), **cost, "sentences": _sentences(evidence, result)}

    return {
        "source": evidence.recording.name,
        "events": len(evidence.recording.events),
        "labelled": len(evidence.recording.agreed),
        "unanswered": evidence.unanswered,
        "differs_from_its_record": evidence.unlike[:3],
        "recorded": one(found[0]),
        "strategies": [one(result) for result in found[1:]],
    }


def _show(evidence: Evidence, found: Sequence[Counterfactual], price: float | None) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    events = len(evidence.recording.events)
    console.print(f"\n{evidence.recording.name} · {events:,} events", style="bold", markup=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("strategy")
    for name in ("questions", *([] if price is None else ["cost"]), "model wrong there", "right elsewhere"):
        table.add_column(name, justify="right")
    for result in found:
        table.add_row(
            result.name,
            f"{result.questions:,} ({result.questions / events:.1%})",
            *([] if price is None else [f"{result.questions * price:,.2f}"]),
            _short(result.wrong),
            _short(result.elsewhere),
        )
    console.print(table)
    for result in found:
        console.print(" ".join(_sentences(evidence, result)), markup=False, soft_wrap=True)
    for note in _notes(evidence):
        console.print(f"note: {note}", style="yellow", markup=False, soft_wrap=True)


def _short(figure: Figure) -> str:
    if figure.value is None or figure.low is None or figure.high is None:
        return "refused"
    if figure.kind == "exact":
        return f"{figure.value:.1%}"
    return f"{figure.value:.1%} [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"


def _sentences(evidence: Evidence, result: Counterfactual) -> list[str]:
    """Return a result in words."""
    from stream_al.replay.counterfactual import RECORDED

    events = len(evidence.recording.events)
    more = result.questions - int(evidence.asked.sum())
    title = result.title[0].upper() + result.title[1:]
    than = f", {abs(more):,} {'more' if more > 0 else 'fewer'} than were asked" if more else ""
    told = [f"{title}: {result.questions:,} questions about {events:,} events{than}."]
    if result.own_models and result.name != RECORDED:
        told.append("The record determines its whole run, its models too.")
    elif not result.own_models:
        until, questions = result.determined
        if not evidence.unlike:
            told.append(
                f"Its own run is determined for the first {until:,} events ({questions:,} questions); then it asks about "
                "an event that has no answers in the record."
            )
        told.append("So these are the numbers with the models as they were.")
    if result.questions:
        told.append(_told("At {} of its questions the model was wrong", result.wrong))
    if result.questions < events:
        told.append(
            _told("Of the events that it does not ask about, {} were answered rightly", result.elsewhere)
        )
    if result.own_models:
        told.append(_told("Of all events, {} were", result.accuracy))
    return told


def _told(sentence: str, figure: Figure) -> str:
    if figure.value is None or figure.low is None or figure.high is None:
        return f"{sentence.format('an unknown share')}: {figure.why}."
    if figure.kind == "exact":
        return f"{sentence.format(f'{figure.value:.1%}')}."
    return f"{sentence.format(f'about {figure.value:.1%} (95 %: {figure.low:.1%} to {figure.high:.1%})')}."


def _notes(evidence: Evidence) -> list[str]:
    notes = ["Right is what people agreed on. They are taken to answer as they did, as fast as they did."]
    if evidence.unanswered:
        notes.append(
            f"{evidence.unanswered:,} questions have no agreed answer (open, expired, disputed or abstained); "
            "they are taken to be like those that have."
        )
    if evidence.unlike:
        notes.append(
            f"The run does not come out as it was recorded ({evidence.unlike[0]}), so no other run is exact. Are model, "
            "strategy, rules and the versions of stream_al and river those of the record? `stream-al verify` tells more."
        )
    return notes
