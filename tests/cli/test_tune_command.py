import json
import tomllib

import pytest
from typer.testing import CliRunner

from stream_al import StreamALError
from stream_al.cli.app import app
from stream_al.config import Config


def run(*arguments):
    result = CliRunner().invoke(app, ["tune", *map(str, arguments)])
    if isinstance(result.exception, StreamALError):
        return result.exception.exit_code, str(result.exception)
    assert result.exception is None, result.exc_info
    return result.exit_code, result.stdout


@pytest.mark.slow
def test_it_recommends_with_a_configuration_that_can_be_read():
    code, out = run("river:Phishing", "--seeds", "1", "--labels", "100", "--quiet")
    assert code == 0
    assert "which had no part in the choice" in " ".join(out.split())
    config = Config.model_validate(tomllib.loads(out[out.index("[strategy]") :]))
    assert config.strategy.name in ("budgeted", "least-confidence", "random")


@pytest.mark.slow
def test_json_names_the_choice_its_rivals_and_the_check():
    code, out = run(
        "river:Phishing", "--seeds", "1", "--json", "--quiet", "--model", "river.naive_bayes.GaussianNB"
    )
    found = json.loads(out)
    assert code == 0
    assert found["chosen"]["strategy"] in {row["strategy"] for row in found["tried"]}
    assert found["chosen"]["accuracy"]["mean"] == max(row["accuracy"]["mean"] for row in found["tried"])
    assert found["split"] == 875
    config = Config.model_validate(tomllib.loads(found["config"]))
    assert config.model.use == "river.naive_bayes.GaussianNB"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "0.1", "--labels", "5"], "not both"),
        (["--budget", "1.5"], "give a share between 0 and 1"),
        (["--limit", "100"], "200 are needed"),
        (["--budget", "0.01"], "too few to tell strategies apart"),
    ],
)
def test_what_cannot_be_tuned_gets_a_sentence(arguments, message):
    code, error = run("river:Phishing", *arguments)
    assert code == 2
    assert message in error
