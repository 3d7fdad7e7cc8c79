"""AdamW and Muon: who decays, what an update looks like."""

from __future__ import annotations

import pytest
import torch

from corpus_builder.train.model import Decoder
from corpus_builder.train.optimizers import (
    Muon,
    OptimizerConfig,
    build,
    orthogonalise,
    set_rate,
)


@pytest.mark.parametrize("shape", [(24, 24), (64, 16), (16, 64), (3, 32, 32)])
def test_newton_schulz_brings_singular_values_near_one_and_keeps_directions(shape):
    matrices = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    u, values, v = torch.linalg.svd(matrices, full_matrices=False)
    wide = values > 0.05 * values.amax(-1, keepdim=True)
    found = u.mT @ orthogonalise(matrices) @ v.mT
    diagonal = found.diagonal(dim1=-2, dim2=-1)
    assert bool(((diagonal > 0.6) & (diagonal < 1.3))[wide].all())
    off = found - torch.diag_embed(diagonal)
    assert float(off.abs().max()) < 1e-3


def test_muon_treats_stacked_matrices_one_by_one():
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(8, 8, generator=generator) for _ in range(3)]
    joint, single = torch.nn.Parameter(torch.zeros(24, 8)), torch.nn.Parameter(torch.zeros(8, 8))
    joint.grad, single.grad = torch.cat(parts), parts[1].clone()
    Muon([{"params": [joint], "stacked": 3, "lr": 1.0}], 0.0).step()
    Muon([{"params": [single], "lr": 1.0}], 0.0).step()
    torch.testing.assert_close(joint[8:16], single)


def test_a_muon_update_has_the_size_of_an_adamw_update():
    """0.2 to 0.4 a weight of the learning rate, AdamW's usual root mean square (2502.16982)."""
    weight = torch.nn.Parameter(torch.zeros(64, 256))
    weight.grad = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    Muon([{"params": [weight], "lr": 0.5}], 0.1).step()
    size = float(weight.detach().square().mean().sqrt()) / 0.5
    assert 0.15 < size < 0.3


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_every_parameter_is_trained_once_and_only_matrices_decay(tiny, name):
    model = Decoder(tiny, 0)
    made = build(model, OptimizerConfig(1.0, name, weight_decay=0.1))
    groups = [group for optimizer in made for group in optimizer.param_groups]
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    for weight in model.parameters():
        weight.data.fill_(1.0)
        weight.grad = torch.zeros_like(weight)
    set_rate(made, 0.5)
    for optimizer in made:
        optimizer.step()
    assert torch.equal(model.embedding, torch.ones_like(model.embedding))
    for block in model.blocks:
        for weight in block.parameters():
            torch.testing.assert_close(weight.data, torch.full_like(weight, 0.95))
