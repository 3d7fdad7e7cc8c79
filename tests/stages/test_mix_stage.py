"""The mix: shards that `datasets` opens, in exactly the order that the numbers say."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from spine import Built, built, planned, recipe
from test_tokens_stage import stream

from corpus_builder.stages.mix import MixStage
from corpus_builder.store.errors import DataError


def remixed(inputs: Path, small: Built, out: Path, **mix: Any) -> Built:
    """The standard run with another mix; all that the mix reads is taken over."""
    import shutil

    content = copy.deepcopy(recipe(inputs))
    content["mix"] |= mix
    shutil.copytree(small.out, out, symlinks=True, ignore=shutil.ignore_patterns("mix-*"))
    return built(content, out)


def test_datasets_opens_the_mix_with_the_sequences_the_order_says(small: Built) -> None:
    dataset = datasets.load_from_disk(str(small.out / "mix"))
    found = np.array(dataset.with_format("numpy")["input_ids"][:])
    stage = small.plan.stages["mix"]
    assert isinstance(stage, MixStage)
    order = stage.order(small.plan.context)
    assert len(dataset) == len(order) == 12_000 // 64
    stores = {corpus: stream(small, corpus) for corpus in order.names}
    expected = order.sequences(0, len(order))
    for slot in range(len(order)):
        corpus = order.names[expected.corpus[slot]]
        assert np.array_equal(found[slot], stores[corpus][expected.index[slot]]), slot


def test_the_accounts_of_the_mix_are_what_is_in_it(small: Built) -> None:
    facts, weights = (
        small.manifests["mix"].facts["corpora"],
        {"web": 0.3, "notes": 0.5, "code": 0.2},
    )
    total = 12_000 // 64
    assert sum(part["sequences"] for part in facts.values()) == total
    for corpus, part in facts.items():
        available = len(stream(small, corpus))
        assert part["available_sequences"] == available
        assert abs(part["realised_weight"] - weights[corpus]) < 1 / total
        assert part["tokens"] == part["sequences"] * 64
        assert part["epochs"] == pytest.approx(part["sequences"] / available, abs=1e-6)
        assert part["unique_sequences"] == min(available, part["sequences"])
    state = json.loads((small.out / "mix" / "state.json").read_text())
    names = [part["filename"] for part in state["_data_files"]]
    assert sorted(names) == sorted(path.name for path in (small.out / "mix").glob("*.arrow"))


def test_a_corpus_too_short_is_refused_before_anything_of_the_mix_is_written(
    inputs: Path, small: Built, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="web") as raised:
        remixed(inputs, small, tmp_path / "out", tokens=2_000_000)
    assert raised.value.exit_code == 4
    content = copy.deepcopy(recipe(inputs))
    content["mix"]["tokens"] = 2_000_000
    plan = planned(content, tmp_path / "out")
    assert not plan.context.folder(plan.stages["mix"]).exists()
    assert plan.progress()["mix"] == (0, None), "and looking at it is no error"


def test_others_take_the_share_of_a_corpus_too_short_if_the_recipe_says_so(
    inputs: Path, small: Built, tmp_path: Path
) -> None:
    weights = {"web": 0.8, "notes": 0.1, "code": 0.1}
    with pytest.raises(DataError):
        remixed(inputs, small, tmp_path / "a", tokens=60_000, weights=weights, max_epochs=1.0)
    run = remixed(
        inputs, small, tmp_path / "b", tokens=60_000, weights=weights, max_epochs=1.0,
        on_short="redistribute",
    )  # fmt: skip
    facts = run.manifests["mix"].facts["corpora"]
    assert sum(part["sequences"] for part in facts.values()) == 60_000 // 64
    assert facts["web"]["cap_hit"] and facts["web"]["sequences"] == len(stream(run, "web"))
    assert all(part["epochs"] <= 1 for part in facts.values())
    assert len(datasets.load_from_disk(str(run.out / "mix"))) == 60_000 // 64


def test_another_weight_rebuilds_the_mix_alone(inputs: Path, small: Built, tmp_path: Path) -> None:
    run = remixed(inputs, small, tmp_path / "out", weights={"web": 0.2, "notes": 0.5, "code": 0.3})
    assert {name for name, count in run.report.done.items() if count} == {"mix"}


def test_a_corpus_without_weight_has_no_tokens_and_is_not_trained_on(
    inputs: Path, tmp_path: Path
) -> None:
    content = recipe(inputs)
    content["mix"]["weights"] = {"web": 0, "notes": 0.6, "code": 0.4}
    plan = planned(content, tmp_path)
    assert not {"web.encode", "web.tokens"} & set(plan.stages)
    assert "web.documents" in plan.stages
    tokenizer = plan.stages["tokenizer"]
    assert {stage.corpus for stage in tokenizer.upstream} == {"notes", "code"}
