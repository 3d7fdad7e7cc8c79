"""The squared ReLU: what autograd says, in fp32 and to the rounding of bf16."""

from __future__ import annotations

import pytest
import torch

from corpus_builder.train import squares


def bits(x):
    return x.view(torch.uint16).numpy()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_squares_and_slopes_are_those_of_autograd(dtype, generator):
    x = torch.randn(5, 70, generator=generator).to(dtype)
    x[0, 0] = 0
    grad = torch.randn(5, 70, generator=generator).to(dtype)
    leaf = x.float().clone().requires_grad_()
    expected = leaf.relu().square()
    expected.backward(grad.float())
    if dtype == torch.float32:
        squares.squared_relu(x.numpy())
        squares.half_slopes(x.numpy(), grad.numpy())
    else:
        squares.squared_relu_bf16(bits(x))
        squares.half_slopes_bf16(bits(x), bits(grad))
    rounding = 1e-6 if dtype == torch.float32 else 2**-7
    torch.testing.assert_close(x.float(), expected.detach(), rtol=rounding, atol=0)
    torch.testing.assert_close(2 * grad.float(), leaf.grad, rtol=rounding, atol=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_hidden(value):
    x = torch.full((1, 3), value)
    half = x.bfloat16()
    squares.squared_relu(x.numpy())
    squares.squared_relu_bf16(bits(half))
    assert not x.isfinite().any()
    assert not half.isfinite().any()
