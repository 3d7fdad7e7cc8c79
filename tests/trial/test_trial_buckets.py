"""Trials of rates: an arm that reads buckets at other rates shares all but the order."""

from __future__ import annotations

from pathlib import Path

import pytest
from trials import lay_inputs, recipe, tried

EQUAL = {"by": "n_words", "quantiles": [0.5], "times": [1, 1]}


def test_an_arm_of_other_rates_is_nested_and_encodes_nothing_anew(tmp_path: Path) -> None:
    lay_inputs(tmp_path)
    arms = {"quality-up": {"mix.buckets.notes.times": [0.5, 2]}}
    content = recipe(tmp_path, arms)
    content["mix"]["buckets"] = {"notes": EQUAL}
    done = tried(content, tmp_path / "out")
    stages = [path.name for path in (tmp_path / "out" / "stages").iterdir()]
    for stage in ("notes.encode", "notes.buckets", "notes.b0.tokens", "notes.b1.tokens"):
        assert len([name for name in stages if name.startswith(f"{stage}-")]) == 1, stage
    epochs = done.report.as_json()["epochs"]
    assert set(epochs["base"]) == set(epochs["quality-up"]) == {"code", "notes.b0", "notes.b1"}
    assert epochs["base"]["notes.b1"] == pytest.approx(epochs["base"]["notes.b0"], rel=0.2)
    arm = epochs["quality-up"]
    assert arm["notes.b1"] == pytest.approx(4 * arm["notes.b0"], rel=0.25)
    assert arm["code"] == epochs["base"]["code"], "the weights of the corpora stay"
    pairing = done.report.pairing["quality-up"]
    assert pairing["nested"]
    assert 0.5 < pairing["same_sequences"] < 1
    assert not done.report.apart
