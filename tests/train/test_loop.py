"""Training: deterministic, resumable to the bit, several budgets from one trunk, clear failures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from corpus_builder.store.errors import DataError, IntegrityError, RecipeError
from corpus_builder.train.loop import CURVE, TrainConfig, load_model, train
from corpus_builder.train.machine import choose_precision, cpu_threads
from corpus_builder.train.optimizers import OptimizerConfig
from corpus_builder.train.schedule import Schedule


@pytest.fixture
def config(tiny):
    return TrainConfig(
        model=tiny,
        optimizer=OptimizerConfig(5e-3),
        schedule=Schedule((12,), decay=0.25),
        micro_tokens=32,
        checkpoint_steps=4,
    )


def weights(result, config, batches):
    return load_model(result.checkpoint, config, batches).state_dict()


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


class KilledError(Exception):
    """Stands for a kill: raised by the progress callback."""


def killed_after(step):
    def progress(done, total, row):
        if done == step:
            raise KilledError

    return progress


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_run_is_a_function_of_its_seed(config, batches, tmp_path, name):
    config = replace(config, optimizer=replace(config.optimizer, name=name))
    runs = [
        train(replace(config, seed=seed), batches, tmp_path / str(n)).final
        for n, seed in enumerate((1, 1, 2))
    ]
    states = [
        weights(run, replace(config, seed=seed), batches)
        for run, seed in zip(runs, (1, 1, 2), strict=True)
    ]
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


@pytest.mark.parametrize("name", ["adamw", "muon"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_killed_run_ends_in_the_same_bits(config, batches, tmp_path, name, precision):
    config = replace(config, optimizer=replace(config.optimizer, name=name), precision=precision)
    whole = train(config, batches, tmp_path / "whole").final
    for step in (3, 5, 9, 11):
        with pytest.raises(KilledError):
            train(config, batches, tmp_path / "cut", progress=killed_after(step))
    seen = []
    resumed = train(
        config, batches, tmp_path / "cut", progress=lambda done, *_: seen.append(done)
    ).final
    assert seen == [9, 10, 11, 12]  # from the checkpoint of step 8
    assert same(weights(whole, config, batches), weights(resumed, config, batches))
    exact = [name for name in CURVE.names if name != "tokens_per_second"]
    assert resumed.curve.select(exact).equals(whole.curve.select(exact))


def test_a_finished_run_is_read_not_repeated(config, batches, tmp_path):
    first = train(config, batches, tmp_path).final
    again = train(config, batches, tmp_path, progress=killed_after(1)).final
    assert again.curve.equals(first.curve)
    assert [p.name for p in tmp_path.glob("*.pt")].count(first.checkpoint.name) == 1


def test_the_curve_has_a_row_a_step(config, batches, tmp_path):
    curve = train(config, batches, tmp_path).final.curve
    assert curve.schema == CURVE
    assert curve["step"].to_pylist() == [*range(1, 13)]
    assert curve["tokens"].to_pylist() == [64 * n for n in range(1, 13)]
    shares = [config.schedule.rate(step, 12) * 5e-3 for step in range(12)]
    assert curve["learning_rate"].to_pylist() == shares
    assert curve["loss"][0].as_py() == pytest.approx(np.log(61), abs=0.5)


@pytest.mark.parametrize(
    ("device", "precision", "vocab", "tokens"),
    [
        ("cpu", "fp32", 4096, 1024), ("cpu", "bf16", 200_000, 4096),
        ("cuda", "bf16", 4096, 65_536), ("cuda", "bf16", 16_384, 16_384),
    ],
)  # fmt: skip
def test_tokens_computed_at_once_suit_the_device(config, device, precision, vocab, tokens):
    model = replace(config.model, vocab=vocab)
    config = replace(config, micro_tokens=None, device=device, precision=precision, model=model)
    assert config.micro_sequences(128) == tokens // 128
    assert config.micro_sequences(10**6) == 1


def test_micro_batches_change_rounding_alone(config, batches, tmp_path):
    curves = [
        train(replace(config, micro_tokens=tokens), batches, tmp_path / str(tokens)).final.curve
        for tokens in (16, 48, 1024)
    ]
    for curve in curves[1:]:
        np.testing.assert_allclose(curve["loss"], curves[0]["loss"], rtol=1e-4)
        np.testing.assert_allclose(curve["gradient_norm"], curves[0]["gradient_norm"], rtol=1e-3)


def test_budgets_share_a_trunk_and_each_is_as_if_alone(config, batches, tmp_path):
    plan = Schedule((12, 20), warmup=0.25, decay=0.25)
    several = replace(config, schedule=plan)
    steps = []
    both = train(several, batches, tmp_path / "both", progress=lambda s, b, _: steps.append((b, s)))
    assert [r.steps for r in both.budgets] == [12, 20]
    assert [s for b, s in steps if b == 20] == [*range(10, 21)]  # the trunk's 9 are not repeated
    for result in both.budgets:
        alone = Schedule((result.steps,), warmup=3 / result.steps, decay=0.25)
        assert alone.warmup_steps == plan.warmup_steps
        one = replace(config, schedule=alone)
        single = train(one, batches, tmp_path / str(result.steps)).final
        assert same(weights(result, several, batches), weights(single, one, batches))


def test_several_budgets_resume_too(config, batches, tmp_path):
    several = replace(config, schedule=Schedule((12, 20), decay=0.25), checkpoint_steps=100)
    whole = train(several, batches, tmp_path / "whole")
    for step in (5, 11, 13, 18):
        with pytest.raises(KilledError):
            train(several, batches, tmp_path / "cut", progress=killed_after(step))
    cut = train(several, batches, tmp_path / "cut")
    for a, b in zip(whole.budgets, cut.budgets, strict=True):
        assert same(weights(a, several, batches), weights(b, several, batches))


def test_a_model_learns_one_batch_by_heart(config, batches, tmp_path):
    class Always(type(batches)):
        def batch(self, step):
            return super().batch(0)

    longer = replace(config, schedule=Schedule((100,)), checkpoint_steps=1000)
    curve = train(longer, Always(), tmp_path).final.curve
    assert curve["loss"][0].as_py() > 3.5
    assert curve["loss"][-1].as_py() < 0.2


def test_evaluators_see_the_final_model_of_each_budget(config, batches, tmp_path):
    several = replace(config, schedule=Schedule((4, 8)))
    total = {"sum": lambda model: float(model.embedding.detach().sum())}
    result = train(several, batches, tmp_path, evaluators=total)
    for budget in result.budgets:
        model = load_model(budget.checkpoint, several, batches)
        assert budget.evaluations == {"sum": float(model.embedding.detach().sum())}


def test_divergence_names_the_step_and_leaves_no_final_model(config, batches, tmp_path):
    wild = replace(config, optimizer=OptimizerConfig(1e30))
    with pytest.raises(DataError, match=r"step \d+: diverged: loss .* lower the learning rate"):
        train(wild, batches, tmp_path)
    assert not [*tmp_path.glob("budget-*")]


def test_a_token_outside_the_vocabulary_names_the_step(config, batches, tmp_path):
    small = replace(config, model=replace(config.model, vocab=60))
    with pytest.raises(DataError, match=r"step 1: token 60 is outside"):
        train(small, type(batches)(seed=5), tmp_path)


def test_too_few_batches_and_too_long_sequences_are_refused(config, batches, tmp_path):
    with pytest.raises(RecipeError, match="12 steps are asked for; the mix fills 11"):
        train(config, type(batches)(steps=11), tmp_path)
    short = replace(config, model=replace(config.model, sequence_length=15))
    with pytest.raises(RecipeError, match="sequences of 16 tokens for a model of 15"):
        train(short, batches, tmp_path)


def test_checkpoints_of_another_run_and_damaged_ones_are_refused(config, batches, tmp_path):
    path = train(config, batches, tmp_path).final.checkpoint
    with pytest.raises(IntegrityError, match="of another run: its seed is 0, not 1"):
        train(replace(config, seed=1), batches, tmp_path)
    with pytest.raises(IntegrityError, match="of another run: its batches"):
        train(config, type(batches)(seed=9), tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(IntegrityError, match="cannot be read"):
        train(config, batches, tmp_path)


def test_threads_are_put_back(config, batches, tmp_path):
    before = torch.get_num_threads()
    seen = []
    train(config, batches, tmp_path, progress=lambda *_: seen.append(torch.get_num_threads()))
    assert set(seen) == {1}
    assert torch.get_num_threads() == before
    with cpu_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_the_probe_answers_and_leaves_no_trace(tiny):
    before = torch.random.get_rng_state()
    assert choose_precision(tiny, seconds=0.0) in ("fp32", "bf16")
    assert torch.equal(torch.random.get_rng_state(), before)
