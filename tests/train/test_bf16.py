"""bf16 by its bits: rounded as torch rounds."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.train.bf16 import narrowed, widened


@given(st.floats(width=32, allow_nan=False))
def test_bf16_is_rounded_as_torch_rounds(value):
    expected = torch.tensor(value).bfloat16()
    bits = narrowed(np.float32(value))
    assert bits == expected.view(torch.uint16).item()
    assert widened(np.uint16(bits)) == expected.item()


def test_nan_stays_nan():
    assert torch.isnan(torch.tensor(widened(np.uint16(narrowed(np.float32("nan"))))))
