"""Sizes: parameters and FLOPs are counted, heads divide widths, rates follow the table."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from corpus_builder.store.errors import RecipeError
from corpus_builder.train.model import Decoder, ModelConfig
from corpus_builder.train.sizes import SIZES, Shape, named_size, size_of


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_named_size_has_about_the_parameters_of_its_name(size):
    count = size.shape.parameters(size.vocab)
    assert int(size.name[:-1]) * 1e6 <= count * 1.01 < int(size.name[:-1]) * 1.35e6


@pytest.mark.parametrize(("layers", "width", "vocab"), [(1, 16, 7), (3, 48, 50), (4, 128, 4096)])
def test_parameters_are_those_of_the_model(layers, width, vocab):
    size = size_of(layers, width, vocab)
    model = Decoder(ModelConfig(size.shape, vocab, 8), seed=0)
    assert sum(p.numel() for p in model.parameters()) == size.shape.parameters(vocab)


def test_flops_are_those_torch_counts_but_for_the_causal_half_of_attention():
    shape, vocab, length = Shape(2, 64, 4), 512, 32
    from corpus_builder.train import formulas

    model = Decoder(ModelConfig(shape, vocab, length), 0, formulas)
    counter = FlopCounterMode(display=False)
    with counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        model.loss_sums(torch.zeros(3, length, dtype=torch.int64))[0].backward()
    causal = 6 * shape.layers * shape.width * length
    ours = shape.flops_per_token(vocab, length) + causal  # torch counts the masked half too
    unpredicted = 6 * vocab * shape.width  # nothing follows a sequence's last token
    assert counter.get_total_flops() == 3 * (length * ours - unpredicted)


def test_any_shape_gets_the_rate_of_the_table():
    for size in SIZES.values():
        same = size_of(size.shape.layers, size.shape.width, size.vocab)
        assert same.learning_rate == pytest.approx(size.learning_rate, rel=0.04)
        assert same.shape == size.shape
        assert same.batch_tokens == size.batch_tokens


@pytest.mark.parametrize("width", range(16, 1040, 16))
def test_every_width_has_heads(width):
    shape = size_of(1, width, 100).shape
    assert shape.heads * shape.head_width == width
    assert shape.head_width in (16, 32, 64)


def test_sequences_a_step_follow_the_recipes_length():
    assert named_size("1M").sequences_per_step(256) == 32
    assert named_size("1M").sequences_per_step(100_000) == 1


def test_wrong_shapes_and_names_are_refused():
    with pytest.raises(RecipeError, match="did you mean '60M'"):
        named_size("60m")
    with pytest.raises(RecipeError, match="multiple of 16"):
        Shape(1, 40, 2)
    with pytest.raises(RecipeError, match="do not divide"):
        Shape(1, 48, 5)
