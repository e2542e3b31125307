"""`make plan` of cold data: requests, tokens, money; and what is wrong, without reading a row or asking a teacher."""

import json

import pytest

from open_vr1.cold.plan import ASSUMED, as_text, make_cold_plan
from open_vr1.plan.__main__ import main
from open_vr1.recipe import read_recipe
from tests.cold.small import recipe, run, write_source

NOWHERE = "http://127.0.0.1:9/v1"


def plan(path, *overrides):
    return make_cold_plan(read_recipe(path, "cold", overrides))


@pytest.fixture
def path(tmp_path):
    write_source(tmp_path, 40)
    return recipe(tmp_path, NOWHERE, samples=3)


def test_requests_follow_from_rows_and_samples(path):
    describe, reason = plan(path).passes
    assert describe.requests == 2 * 44 and reason.requests == 3 * 44
    assert reason.completion_tokens == 3 * 44 * ASSUMED["reason"][1]
    assert "assumed, nothing has been counted yet" in as_text(plan(path))


def test_money_and_hours_come_from_the_recipe_alone(path):
    assert plan(path).passes[0].cost is None and plan(path).passes[0].gpu_hours is None
    priced = "{model: m, url: 'http://x/v1', price_input: 2, price_output: 8, tokens_per_second: 100, gpus: 4}"
    (describe, _) = plan(path, "--vision", priced).passes
    tokens_in, tokens_out = (44 * tokens for tokens in ASSUMED["describe"])
    assert describe.cost == round((2 * tokens_in + 8 * tokens_out) / 1e6, 2)
    assert describe.gpu_hours == round(tokens_out / 100 / 3600 * 4, 1)


def test_after_a_pilot_tokens_are_those_that_were_counted(tmp_path):
    write_source(tmp_path, 40)
    path = recipe(tmp_path)
    pilot = "[{name: toy, path: %s, columns: {subset: kind}, limit: 10}]" % (tmp_path / "source" / "rows.parquet")
    run(path, "--sources", pilot, "--until", "reason", "--max_bad_rows", "0.5")
    describe, reason = plan(path).passes
    assert 5 <= describe.counted_rows <= 10 and 5 <= reason.counted_rows <= 10
    assert 0 < reason.completion_tokens < 44 * ASSUMED["reason"][1]
    assert f"as counted over {describe.counted_rows} rows" in as_text(plan(path))


def test_rows_that_nobody_has_counted_are_said_to_be_unknown(path):
    unknown = plan(path, "--sources", "[{name: far, path: owner/dataset}]")
    assert unknown.sources == {"far": None} and unknown.passes[0].requests is None
    assert any("rows: ..." in warning for warning in unknown.warnings)
    assert plan(path, "--sources", "[{name: far, path: owner/dataset, rows: 7}]").passes[0].requests == 14


def test_what_is_wrong_is_an_error_of_the_plan(path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--config", str(path), "--rules", "[lenght]", "--json"])
    assert stopped.value.code == 2
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert "rules" in error and "length" in error
