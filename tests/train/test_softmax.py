"""Softmax passes: what autograd says, in fp32 and to the rounding of bf16."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.train import softmax
from corpus_builder.train.softmax import exponential

ALL_PASSES = """
import hashlib, numpy as np
from corpus_builder.train import softmax, squares

rng, found = np.random.default_rng(5), hashlib.sha256()

def call(apply, *arguments, bf16):
    arrays = [rng.standard_normal(shape, dtype=np.float32) for shape in arguments[0]]
    if bf16:
        arrays = [(array.view(np.uint32) >> 16).astype(np.uint16) for array in arrays]
    apply(*arrays, *arguments[1:])
    for array in (*arrays, *arguments[1:]):
        found.update(np.asarray(array).tobytes())

targets = rng.integers(0, 300, 9)
for end in ("", "_bf16"):
    out = [np.empty(9, np.float32) for _ in range(3)]
    loss, bf16 = [getattr(softmax, "loss_slopes" + end), bool(end)]
    call(loss, [(9, 300)], 300, np.ones(9, np.float32), targets, 1e-4, *out, bf16=bf16)
    call(getattr(softmax, "attention_chances" + end), [(3, 70, 70)], 0, 0.2, bf16=bf16)
    call(getattr(softmax, "attention_slopes" + end), [(3, 70, 70)] * 2, 0, 0.2, bf16=bf16)
    call(getattr(squares, "squared_relu" + end), [(9, 300)], bf16=bf16)
print(found.hexdigest())
"""
"""Prints a digest of what all passes make of the same numbers."""


def bits(x):
    return x.view(torch.uint16).numpy()


@given(st.floats(-87, 88, width=32))
def test_the_exponential_is_that_of_float64(x):
    assert float(exponential(np.float32(x))) == pytest.approx(
        float(np.exp(np.float64(x))), rel=5e-7
    )


@pytest.mark.parametrize("x", [-88.0, -1e30, -np.inf, np.nan])
def test_the_exponential_of_less_is_next_to_nothing(x):
    assert float(exponential(np.float32(x))) == pytest.approx(float(np.exp(-87.0)), rel=1e-6)


@pytest.mark.parametrize("z_twice", [0.0, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_slopes_of_the_loss_are_its_gradient(dtype, z_twice, generator):
    logits = (7 * torch.randn(6, 50, generator=generator)).to(dtype)
    targets = torch.randint(50, (6,), generator=generator)
    leaf = logits.float().clone().requires_grad_()
    expected = torch.logsumexp(leaf, 1)
    losses = expected - leaf.gather(1, targets[:, None])[:, 0] + z_twice / 2 * expected.square()
    losses.sum().backward()
    partition, chosen, steep = torch.empty(3, 6)
    memory = torch.nn.functional.pad(logits, (0, 3), value=9)
    numbers = (
        50, logits.amax(1).float().numpy(), targets.numpy(), z_twice,
        partition.numpy(), chosen.numpy(), steep.numpy(),
    )  # fmt: skip
    if dtype == torch.float32:
        softmax.loss_slopes(memory.numpy(), *numbers)
    else:
        softmax.loss_slopes_bf16(bits(memory), *numbers)
    assert torch.equal(chosen, logits.float().gather(1, targets[:, None])[:, 0])
    logits = memory[:, :50]
    assert (memory[:, 50:] == 9).all()
    torch.testing.assert_close(partition, expected)
    close = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 0.01, "atol": 0.01}
    torch.testing.assert_close(logits.float() * steep[:, None], leaf.grad, **close)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("first", [0, 4])
def test_attention_looks_back_only_and_its_slopes_are_the_gradient(dtype, first, generator):
    scores, grad = (torch.randn(2, 5, first + 5, generator=generator).to(dtype) for _ in range(2))
    leaf = scores.float().clone().requires_grad_()
    ahead = torch.ones(5, first + 5, dtype=torch.bool).triu(first + 1)
    expected = torch.softmax((0.25 * leaf).masked_fill(ahead, -torch.inf), -1)
    expected.backward(grad.float())
    if dtype == torch.float32:
        softmax.attention_chances(scores.numpy(), first, 0.25)
        softmax.attention_slopes(scores.numpy(), grad.numpy(), first, 0.25)
    else:
        softmax.attention_chances_bf16(bits(scores), first, 0.25)
        softmax.attention_slopes_bf16(bits(scores), bits(grad), first, 0.25)
    close = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 0.02, "atol": 4e-3}
    torch.testing.assert_close(scores.float(), expected.detach(), **close)
    torch.testing.assert_close(grad.float(), leaf.grad, **close)
    assert not scores[:, ahead].any()
    assert not grad[:, ahead].any()


def test_bits_do_not_depend_on_what_was_compiled_before(tmp_path: Path) -> None:
    """All compiled, all loaded, some loaded: runs go on and are compared across processes."""

    def digest() -> str:
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
        command = [sys.executable, "-c", ALL_PASSES]
        return subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True
        ).stdout

    anew, loaded = digest(), digest()
    kept = sorted(tmp_path.rglob("*.nb?"))
    names = sorted({path.name.partition("-")[0] for path in kept})
    for path in kept:
        if names.index(path.name.partition("-")[0]) % 2 == 0:
            path.unlink()
    assert len(anew) == 65
    assert [loaded, digest()] == [anew, anew]
