"""Configuration: what is written is checked, and an error names file, key, value and what is allowed."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from river import compose, forest, linear_model, multiclass

from stream_al import (
    AnyOf,
    Apart,
    Balanced,
    Budgeted,
    ColdStart,
    ConfigError,
    Entropy,
    Importance,
    LeastConfidence,
    Margin,
    ModelError,
    Random,
    Selective,
    VariableUncertainty,
)
from stream_al.build import build_estimator, build_learner
from stream_al.config import Config, KafkaConfig, TopicsConfig, load_config, stored_config
from stream_al.groups import GroupRules
from stream_al.learner import default_strategy
from stream_al.strategies import while_late
from stream_al.strategies.bucket import Bucketed


def config_of(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "pipeline.toml"
    path.write_text(text)
    return load_config(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[strategy]\nname = 'margn'", "[strategy] name = 'margn': must be one of 'budgeted', "),
        ("[strategy]\nbudget = 2", "[strategy] budget = 2: Input should be less than or equal to 1"),
        ("[strategy]\nbudgett = 0.1", "[strategy] budgett: no such key; there are name, budget, "),
        ("[strategy.cold_start]\nrule = 'some'", "[strategy] cold_start.rule = 'some': must be one of 'all'"),
        (
            "[strategy.cold_start]\nshar = 1",
            "[strategy] cold_start.shar: no such key; there are rule, examples, share",
        ),
        ("[events]\nfollow = 'maybe'", "[events] follow = 'maybe': "),
        ("[sourc]\n", "[sourc]: no such key; there are model, strategy, limits, guard, drift, "),
        (
            "[strategy]\nthreshold = 0.2",
            "threshold: means nothing to 'budgeted', which takes apart, budget, burst, ",
        ),
        ("[strategy]\nname = 'any-of'", "any-of: give one or more of confidence, margin, entropy"),
        ("[strategy]\nexplore = 0.5", "explore: 0.5 is more than the budget, 0.1"),
        ("[accuracy]\nwindow = 1", "[accuracy] window = 1: Input should be greater than or equal to 2"),
        ("[strategy]\nstop_at = 1.0", "[strategy] stop_at = 1.0: Input should be less than 1"),
        (
            "[strategy]\ncalibrated = true",
            "calibrated: means nothing to 'budgeted', which takes apart, budget, burst, ",
        ),
        ("[labels]\nsource = 'file'", 'path: belongs to source = "file", and is needed there'),
        ("[labels]\nquorum = 7", "max_answers: 5 is less than the quorum, 7"),
        ("[labels]\nexpire_after = 'soon'", "[labels] expire_after = 'soon': "),
        ("[model]\nuse = 'a.B'\nfile = 'm.py'", "file and use: give one of use (with args), steps, file"),
        (
            "[run]\nuntil = 'later'",
            "[run] until = 'later': must be one of 'events-end', 'answered' or 'stopped'",
        ),
        ("[groups]\ncheck = 0.1", "within: nothing is grouped; set it to 0.2, say"),
        ("[groups]\nwithin = 0", "[groups] within = 0: Input should be greater than 0"),
        (
            "[groups]\nwithin = 0.2\n[kafka]\nbootstrap = 'localhost:9092'",
            "[groups] within: an event and the query it is like may be in partitions of different workers on Kafka",
        ),
        ("[strategy.cold_start]\nwindow = 100", "window: belongs to rule = 'representatives'"),
        (
            "[strategy.cold_start]\nrule = 'representatives'\nasks = 9",
            "asks: means nothing to rule = 'representatives'",
        ),
        (
            "[strategy.cold_start]\nrule = 'representatives'\nwindow = 20",
            "examples: 50 representatives cannot be chosen of 20 events",
        ),
        (
            "[strategy.cold_start]\nrule = 'representatives'\n[limits]\nlabels_per_day = 9",
            "asks about as many as it says, whatever [limits] allow",
        ),
        (
            "[strategy.cold_start]\nrule = 'representatives'\n[kafka]\nbootstrap = 'localhost:9092'",
            "[strategy.cold_start] rule = 'representatives': an event and the query it is like may be",
        ),
        ("not toml", "not TOML"),
    ],
)
def test_a_mistake_is_named_with_file_key_value_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        config_of(tmp_path, text)
    assert str(tmp_path / "pipeline.toml") in str(caught.value)


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of(tmp_path, "[strategy]\nbudget = 2\n[labels]\nquorum = 0\n[run]\nbatch_size = 'x'")
    assert len(str(caught.value).splitlines()) == 3


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; `stream-al init` writes one"):
        load_config(tmp_path / "none.toml")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        "[events]\npath = 'in.csv'\n[store]\npath = 'a/b.db'\n[output]\nqueries = 'q.jsonl'\n[model]\nfile = 'm.py'",
    )
    assert config.events.path == str(tmp_path / "in.csv")
    assert config.store.path == tmp_path / "a" / "b.db"
    assert config.output.queries == tmp_path / "q.jsonl"
    assert config.output.predictions is None
    assert config.model.file == tmp_path / "m.py"


@pytest.mark.parametrize("path", ["-", "river:ImageSegments"])
def test_what_is_no_path_stays_what_it_is(tmp_path: Path, path: str) -> None:
    assert config_of(tmp_path, f"[events]\npath = '{path}'").events.path == path


def test_the_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_AL_STRATEGY__BUDGET", "0.25")
    monkeypatch.setenv("STREAM_AL_STORE__PATH", "elsewhere.db")
    config = config_of(tmp_path, "[strategy]\nbudget = 0.1\nburst = 5")
    assert (config.strategy.budget, config.strategy.burst) == (0.25, 5)
    assert config.store.path == tmp_path / "elsewhere.db"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Budgeted()),
        ("budget = 0.2\nutility = 'entropy'\nexplore = 0.05\nburst = 3", Budgeted(0.2, "entropy", 0.05, 3)),
        ("name = 'variable'", VariableUncertainty()),
        (
            "name = 'variable'\nbudget = 0.2\nstep = 0.1\nspread = 1\nexplore = 0.03\nburst = 2",
            VariableUncertainty(0.2, 0.1, 1.0, 0.03, 2),
        ),
        ("name = 'selective'\nbudget = 0.3\nexplore = 0.01\nburst = 7", Selective(0.3, 0.01, 7)),
        ("name = 'importance'\nbudget = 0.3\nexplore = 0.01\nburst = 7", Importance(0.3, 0.01, 7)),
        ("name = 'balanced'\nbudget = 0.3\nexplore = 0.01\nburst = 7", Balanced(0.3, 0.01, 7)),
        ("utility = 'committee'", Budgeted(utility="committee")),
        ("utility = 'expected-change'\napart = 9", Apart(Budgeted(utility="expected-change"), 9)),
        ("name = 'random'\nbudget = 0.3", Random(0.3)),
        ("name = 'margin'\nthreshold = 0.3\nexplore = 0.01", Margin(0.3, 0.01)),
        ("name = 'least-confidence'", LeastConfidence()),
        ("name = 'entropy'\nthreshold = 0.9", Entropy(0.9)),
        ("name = 'any-of'\nmargin = 0.2\nconfidence = 0.7", AnyOf((LeastConfidence(0.7), Margin(0.2)))),
    ],
)
def test_a_strategy_is_built_as_it_says(tmp_path: Path, text: str, expected: object) -> None:
    config = config_of(tmp_path, f"[strategy]\n{text}\n[strategy.cold_start]\nexamples = 9")
    asks = while_late(9, expected.rate()) if isinstance(expected, Bucketed | Apart) else None
    assert config.strategy.build() == ColdStart(expected, examples=9, asks=asks)  # type: ignore[arg-type]
    kept = stored_config(config.pipeline(), "x")
    assert kept.strategy.build() == config.strategy.build()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7d", timedelta(days=7)), ("1.5h", timedelta(minutes=90)), ("PT5M", timedelta(minutes=5))],
)
def test_durations(tmp_path: Path, text: str, expected: timedelta) -> None:
    config = config_of(tmp_path, f"[labels]\nexpire_after = '{text}'")
    assert config.labels.expire_after == expected
    assert stored_config(config.pipeline(), "x").labels.expire_after == expected


def test_groups_are_a_part_of_the_pipeline_where_there_are_any(tmp_path: Path) -> None:
    assert "groups" not in config_of(tmp_path, "").pipeline()
    config = config_of(tmp_path, "[groups]\nwithin = 0.2\nweight = 1\nmost = 3\ngroups = 7\ncheck = 0.1")
    learner = build_learner(stored_config(config.pipeline(), "x"))
    assert learner.groups is not None
    assert learner.groups.rules == GroupRules(0.2, 1.0, 3, 7, 0.1)


def test_representatives_of_a_window_are_groups_too(tmp_path: Path) -> None:
    text = "[strategy.cold_start]\nrule = 'representatives'\nexamples = 20\nwindow = 100"
    config = config_of(tmp_path, text)
    learner = build_learner(stored_config(config.pipeline(), "x"))
    assert learner.groups is not None
    assert learner.groups.rules == GroupRules(None, window=100, representatives=20)
    assert learner.strategy == ColdStart(Budgeted(), 20, "none", asks=20)


def test_a_model_that_knows_no_weights_cannot_learn_what_is_propagated_with_less(tmp_path: Path) -> None:
    config = config_of(tmp_path, "[model]\nuse = 'river.naive_bayes.GaussianNB'\n[groups]\nwithin = 0.2")
    with pytest.raises(
        ModelError, match="GaussianNB does not learn with weights, which propagated labels have"
    ):
        build_learner(config, "p.toml")


def test_models_by_import_path_with_nested_arguments(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        """
        [model]
        use = "river.multiclass.OneVsRestClassifier"
        args = { classifier = { use = "river.linear_model.LogisticRegression", args = { l2 = 0.5 } } }
        """,
    )
    model = build_estimator(config.model)
    assert isinstance(model, multiclass.OneVsRestClassifier)
    assert isinstance(model.classifier, linear_model.LogisticRegression)
    assert model.classifier.l2 == 0.5


def test_models_from_a_python_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from river import forest\n"
        "class Mine(forest.ARFClassifier):\n    pass\n"
        "def model():\n    return Mine(n_models=3, seed=1)\n"
    )
    config = config_of(tmp_path, "[model]\nfile = 'mine.py'")
    learner = build_learner(config)
    assert isinstance(learner.model.estimator, forest.ARFClassifier)
    learner.model.load(learner.model.dump())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("use = 'river.nowhere.Nothing'", "use = 'river.nowhere.Nothing': cannot be imported"),
        ("use = 'Nothing'", "use = 'Nothing': cannot be imported"),
        ("use = 'river.forest.ARFClassifier'", "ARFClassifier has no seed"),
        ("use = 'river.preprocessing.StandardScaler'", "StandardScaler is not a classifier"),
        ("use = 'river.forest.ARFClassifier'\nargs = { trees = 3 }", "it takes n_models, "),
        ("steps = [{ use = 'river.preprocessing.StandardScaler' }, { uses = 'x' }]", "steps[1]: "),
        ("file = 'none.py'", "none.py': no such Python file"),
        ("use = 'river.linear_model.LogisticRegression'\nclasses = ['a', 'b', 'c']", "'c' is a third class"),
        ("classes = ['a', 1]", "classes = ['a', 1]: all must be of label_type 'str'"),
    ],
)
def test_a_model_that_cannot_be_made_is_named(tmp_path: Path, text: str, message: str) -> None:
    config = config_of(tmp_path, f"[model]\n{text}")
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_learner(config)


def test_a_model_file_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("1 / 0")
    config = config_of(tmp_path, "[model]\nfile = 'bad.py'")
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        build_learner(config)


def template() -> str:
    return (files("stream_al.cli") / "template.toml").read_text("utf-8")


def test_what_nothing_is_said_of_is_the_default_of_the_learner(tmp_path: Path) -> None:
    assert config_of(tmp_path, "").strategy.build() == default_strategy()
    config = config_of(tmp_path, "[strategy.cold_start]\nasks = 70")
    assert config.strategy.build() == ColdStart(Budgeted(0.1), asks=70)


def told_by_the_template() -> dict[str, Any]:
    """The template with all comments taken off."""
    return tomllib.loads(re.sub(r"^# (\w+ = |\[[\w.]+\]$)", r"\1", template(), flags=re.MULTILINE))


def test_the_template_is_the_defaults_and_names_every_key(tmp_path: Path) -> None:
    text = template()
    config = config_of(tmp_path, text)
    assert isinstance(build_estimator(config.model), compose.Pipeline)
    plain = config_of(tmp_path, "[events]\npath = 'events.csv'\n[store]\npath = 'pipeline.db'")
    assert config.kafka is None
    for section in Config.model_fields.keys() - {"kafka"}:
        found, default = getattr(config, section), getattr(plain, section)
        for key in type(found).model_fields:
            assert re.search(rf"^(# )?(\[strategy\.)?{key}( =|\])", text, re.MULTILINE), (
                f"[{section}] {key} is not told"
            )
            if key != "steps":
                assert getattr(found, key) == getattr(default, key), f"[{section}] {key} is not the default"


def test_the_templates_kafka_part_names_every_key_with_its_default() -> None:
    told = told_by_the_template()["kafka"]
    assert told.keys() == KafkaConfig.model_fields.keys()
    assert told["topics"].keys() == TopicsConfig.model_fields.keys()
    defaults = {key: told[key] for key, f in KafkaConfig.model_fields.items() if f.default is not None}
    assert KafkaConfig(**defaults) == KafkaConfig()


def test_the_template_with_all_comments_taken_off_is_toml() -> None:
    assert {"threshold", "explore"} <= told_by_the_template()["strategy"].keys()


def test_the_deployments_pipeline_can_be_run() -> None:
    config = load_config(Path(__file__).parents[1] / "deploy" / "pipeline.toml")
    assert config.run.until == "stopped"
    assert config.kafka is not None
    build_learner(config)


SCRAM = "protocol = 'SASL_SSL'\nmechanism = 'SCRAM-SHA-512'\nusername = 'ann'\n"
OAUTH = "protocol = 'SASL_SSL'\nmechanism = 'OAUTHBEARER'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bootstrap = 'a:1,,b:2'", "bootstrap: give host:port, or several with commas between"),
        ("mechanism = 'PLAIN'", "mechanism: belongs to protocol SASL_SSL or SASL_PLAINTEXT, not PLAINTEXT"),
        ("password = 'sesame'", "password: belongs to protocol SASL_SSL or SASL_PLAINTEXT, not PLAINTEXT"),
        ("protocol = 'SSL'\nusername = 'ann'", "username: belongs to protocol SASL_SSL or "),
        ("protocol = 'SASL_SSL'", "mechanism: protocol SASL_SSL needs one of PLAIN, SCRAM-SHA-256, "),
        (SCRAM, "password: mechanism SCRAM-SHA-512 needs it; best as STREAM_AL_KAFKA__PASSWORD in the envir"),
        (SCRAM + "password = ''", "password: mechanism SCRAM-SHA-512 needs it"),
        (SCRAM + "password = 'sesame'\ntoken_file = 't'", "token_file: means nothing to mechanism SCRAM-SHA"),
        (SCRAM + "password = 123456", "password: must be text, in quotation marks"),
        (OAUTH, "mechanism: OAUTHBEARER needs one of token_file, token_url"),
        (OAUTH + "token_file = 't'\ntoken_url = 'https://x'", "mechanism: OAUTHBEARER needs one of token_"),
        (
            OAUTH + "token_file = 't'\nclient_secret = 'sesame'",
            "client_secret: means nothing to mechanism OAU",
        ),
        (OAUTH + "token_url = 'https://x'\nclient_id = 'a'", "client_secret: mechanism OAUTHBEARER needs it"),
        (
            OAUTH + "token_url = 'file:///x'\nclient_id = 'a'\nclient_secret = 'sesame'",
            "is not an http or http",
        ),
        ("ca_file = 'ca.pem'", "ca_file: belongs to protocol SSL or SASL_SSL, not PLAINTEXT"),
        ("protocol = 'SSL'\ncert_file = 'c.pem'", "cert_file: needs key_file, too"),
        ("protocol = 'SSL'\nkey_file = 'c.key'", "key_file: needs cert_file, too"),
        ("protocol = 'SSL'\nkey_password = 'sesame'", "key_password: needs key_file, too"),
        ("[kafka.topics]\nlabels = 'events'", "topics: events and labels are both 'events'"),
        ("[kafka.topics]\nprefix = 'a/'", "topics: 'a/events' is no name for a topic"),
    ],
)
def test_connection_settings_that_contradict_each_other_are_named(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        config_of(tmp_path, f"[kafka]\n{text}")
    assert str(caught.value).startswith(f"{tmp_path / 'pipeline.toml'}: [kafka]: ")
    for secret in ("sesame", "123456"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize("password", ["sesame", "1234567890", '{"sesame": 1}'])
def test_a_password_can_come_from_the_environment_and_is_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("STREAM_AL_KAFKA__PASSWORD", password)
    config = config_of(tmp_path, f"[kafka]\n{SCRAM}")
    assert config.kafka is not None
    assert config.kafka.password is not None
    assert config.kafka.password.get_secret_value() == password
    for shown in (repr(config), str(config), config.model_dump_json()):
        assert password not in shown


def test_the_environment_alone_can_choose_kafka(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_AL_KAFKA__BOOTSTRAP", "broker:9092")
    monkeypatch.setenv("STREAM_AL_KAFKA__INSTANCE", "worker-3")
    monkeypatch.setenv("STREAM_AL_KAFKA__TOPICS__PREFIX", "fraud-")
    kafka = config_of(tmp_path, "").kafka
    assert kafka is not None
    assert (kafka.bootstrap, kafka.instance) == ("broker:9092", "worker-3")
    assert kafka.topics.name("dead_letters") == "fraud-dead-letters"


@pytest.mark.parametrize(
    "kept", [{}, {"model": {}}, {"model": {"use": 3}, "strategy": {}, "labels": {}, "run": {}}]
)
def test_a_damaged_stored_configuration_is_a_config_error(kept: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"some\.db: "):
        stored_config(kept, "some.db")
