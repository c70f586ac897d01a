"""From a configuration to the objects it names."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import Any

from river.compose import Pipeline

from stream_al.config import RULES, Config, EventsConfig, LabelsConfig, ModelConfig
from stream_al.desk_rules import DeskRules
from stream_al.errors import ConfigError, ModelError
from stream_al.learner import ActiveLearner
from stream_al.model import Model
from stream_al.monitor import LogMonitors
from stream_al.window import require_clustering


def build_learner(config: Config, name: str = "the configuration") -> ActiveLearner:
    """Return a fresh learner.

    Raises
    ------
    ConfigError
        When the model cannot be made; names the key.
    """
    settings = config.model
    try:
        model = Model(
            build_estimator(settings),
            classes=settings.classes,
            label_type=settings.label_type,
            checkpoint_every=settings.checkpoint_every,
        )
    except ModelError as error:
        raise ConfigError(f"{name}: [model] {error}") from None
    groups = config.group_rules()
    if groups is not None and groups.window:
        require_clustering()
    return ActiveLearner(
        model,
        config.query_strategy(),
        rules=desk_rules(config.labels),
        key=config.run.key,
        window=config.accuracy.window,
        calibrated=config.strategy.calibrated,
        drift=config.drift.rules(),
        gold=config.gold.gold(),
        groups=groups,
    )


def log_monitors(config: Config, name: str = "the configuration") -> LogMonitors:
    """Return fresh monitors of the log of examples, for a pipeline whose events are in partitions.

    Raises
    ------
    ConfigError
        When what is to be watched cannot be, where nobody sees all events.
    """
    try:
        return LogMonitors(calibrated=config.strategy.calibrated, drift=config.drift.rules())
    except ValueError as error:
        raise ConfigError(f"{name}: [drift] {error}") from None


def desk_rules(labels: LabelsConfig) -> DeskRules:
    """Return the rules of the label desk."""
    return DeskRules(**{name: getattr(labels, name) for name in RULES})


def build_estimator(settings: ModelConfig) -> Any:
    """Return the River estimator that ``[model]`` names.

    Raises
    ------
    ModelError
        When it cannot be imported or made.
    """
    if settings.file is not None:
        return _from_file(settings.file)
    if settings.steps:
        return Pipeline(*(_make(step, f"steps[{n}]") for n, step in enumerate(settings.steps)))
    return _make({"use": settings.use, "args": settings.args}, "")


def _make(spec: dict[str, Any], place: str) -> Any:
    """Make what ``{use = "import.path", args = {…}}`` names; arguments may be such tables themselves."""
    path = spec.get("use")
    prefix = f"{place}: " if place else ""
    if not isinstance(path, str) or set(spec) - {"use", "args"}:
        raise ModelError(f'{prefix}{spec!r}: write {{ use = "river.module.Class", args = {{ … }} }}')
    module, _, name = path.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(
            f"{prefix}use = {path!r}: cannot be imported ({error}); give module and class"
        ) from None
    arguments = {k: _argument(v, f"{place}.args.{k}".lstrip(".")) for k, v in spec.get("args", {}).items()}
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        takes = ", ".join(inspect.signature(kind).parameters) if callable(kind) else "nothing"
        raise ModelError(f"{prefix}{path}: {error}; it takes {takes}") from None


def _argument(value: Any, place: str) -> Any:
    if isinstance(value, dict) and "use" in value:
        return _make(value, place)
    if isinstance(value, list):
        return [_argument(item, place) for item in value]
    return value


def _from_file(path: Path) -> Any:
    """Return what ``model`` is in a Python file: an estimator, or a function that makes one."""
    name = f"stream_al_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ModelError(f"file = {str(path)!r}: no such Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that what it defines can be pickled
    try:
        spec.loader.exec_module(module)
        found = module.model
    except AttributeError:
        raise ModelError(
            f"file = {str(path)!r}: defines no `model` (an estimator, or a function returning one)"
        ) from None
    except Exception as error:
        raise ModelError(f"file = {str(path)!r}: {type(error).__name__}: {error}") from error
    return found() if inspect.isfunction(found) else found


def event_format(events: EventsConfig) -> str:
    """Return the format of the events: as configured, or by the file's name."""
    if events.format is not None:
        return events.format
    suffixes = Path(events.path).suffixes
    if ".csv" in suffixes:
        return "csv"
    if suffixes[-1:] == [".parquet"]:
        return "parquet"
    if events.path == "-" or {".jsonl", ".ndjson"} & set(suffixes):
        return "jsonl"
    raise ConfigError(
        f'[events] path = {events.path!r}: not told by its name; set format to "csv", "jsonl" or "parquet"'
    )
