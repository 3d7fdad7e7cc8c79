"""Evaluation: every token once, every byte once, equal to scoring one token at a time."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.store.errors import DataError, RecipeError
from corpus_builder.train.evaluate import (
    Documents,
    MinimalPairs,
    _windows,
    encode,
    encode_pairs,
    score,
    score_pairs,
)
from corpus_builder.train.model import Decoder

EOS = 60
TEXTS = ["plain words", "", "naïve café — 漢字かな 👩‍👩‍👧", "x" * 40, "a\nb <|end|> c"]


@pytest.fixture
def model(tiny):
    made = Decoder(tiny, 0)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(0, 0.2, generator=generator)
    return made


@pytest.fixture(scope="module")
def tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(TEXTS, trainer)
    made.encode_special_tokens = True
    return made


def documents_of(*lengths, seed=0):
    rng = np.random.default_rng(seed)
    tokens = tuple(rng.integers(0, EOS, n) for n in lengths)
    return Documents(tokens, np.array([2 * n for n in lengths], np.int64), EOS)


@torch.no_grad()
def naive_bits(model, tokens, stride):
    """A document scored a token at a time, each with the context its window would give it."""
    longest = model.config.sequence_length
    stream, bits = [EOS, *tokens.tolist()], 0.0
    for place in range(1, len(stream)):
        if place <= longest:
            start = 0
        else:
            end = longest + -(-(place - longest) // stride) * stride
            start = min(end, len(tokens)) - longest
        context = torch.tensor([stream[start:place]])
        chances = model(context)[0, -1].double().log_softmax(-1)
        bits -= float(chances[stream[place]]) / math.log(2)
    return bits


@pytest.mark.parametrize("stride", [1, 5, 8, 16])
def test_scores_are_those_of_one_token_at_a_time(model, stride):
    documents = documents_of(0, 1, 3, 15, 16, 17, 40, 7)
    scores = score(model, documents, stride=stride, batch_tokens=64)
    expected = [naive_bits(model, tokens, stride) for tokens in documents.tokens]
    np.testing.assert_allclose(scores.bits, expected, rtol=1e-5, atol=1e-6)
    assert scores.tokens.tolist() == [0, 1, 3, 15, 16, 17, 40, 7]
    assert scores.bits_per_byte == pytest.approx(sum(expected) / (2 * 99))


@given(st.integers(0, 200), st.integers(1, 40), st.data())
def test_windows_score_every_token_once_with_enough_context(tokens, longest, data):
    stride = data.draw(st.integers(1, longest))
    scored = []
    for _, start, length, new in _windows(0, tokens, longest, stride):
        assert 1 <= new <= length <= longest
        assert start + length <= tokens
        fresh = [*range(start + length - new, start + length)]
        assert all(place - start >= longest - stride or start == 0 for place in fresh)
        scored += fresh
    assert scored == [*range(tokens)]


def test_company_does_not_change_a_score(model):
    documents = documents_of(*range(0, 60, 3), seed=1)
    together = score(model, documents).bits
    alone = [
        score(model, Documents((tokens,), documents.text_bytes[:1], EOS)).bits[0]
        for tokens in documents.tokens
    ]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_a_uniform_model_needs_log2_of_the_vocabulary_a_token(tiny):
    model = Decoder(tiny, 0)
    model.embedding.data.zero_()
    scores = score(model, documents_of(10, 33))
    np.testing.assert_allclose(scores.bits, [10 * math.log2(61), 33 * math.log2(61)], rtol=1e-6)


def test_bytes_are_those_of_the_text(tokenizer):
    documents = encode(TEXTS, tokenizer, "<|end|>")
    assert documents.text_bytes.tolist() == [len(text.encode()) for text in TEXTS]
    assert documents.text_bytes[2] > len(TEXTS[2])
    assert documents.eos == tokenizer.token_to_id("<|end|>")
    for text, tokens in zip(TEXTS, documents.tokens, strict=True):
        assert tokenizer.decode(tokens.tolist(), skip_special_tokens=False) == text
        assert documents.eos not in tokens  # its name in a text is plain text


def test_unknown_ends_ids_and_strides_are_refused(model, tokenizer):
    with pytest.raises(RecipeError, match="no token '</s>'"):
        encode(TEXTS, tokenizer, "</s>")
    with pytest.raises(RecipeError, match=r"stride of 17 is not within 1\.\.16"):
        score(model, documents_of(3), stride=17)
    with pytest.raises(DataError, match="outside the model's vocabulary"):
        score(model, Documents((np.array([61]),), np.array([1]), EOS))


def test_nothing_to_score_is_nan(model):
    scores = score(model, documents_of())
    assert math.isnan(scores.bits_per_byte)


def test_pairs_count_by_phenomenon_and_a_tie_fails(model):
    good, bad = documents_of(6, 6, 6, seed=2), documents_of(6, 6, 6, seed=3)
    right = score(model, good).bits < score(model, bad).bits
    pairs = MinimalPairs(good, bad, ("a", "b", "a"))
    assert score_pairs(model, pairs) == {"a": (2, right[0] + right[2]), "b": (1, right[1])}
    assert score_pairs(model, MinimalPairs(good, good, ("a", "a", "a"))) == {"a": (3, 0)}


def test_pairs_are_read_from_either_naming(tokenizer):
    long = pa.table({"sentence_good": ["a b"], "sentence_bad": ["b a"], "UID": ["order"]})
    short = long.rename_columns(["good", "bad", "uid"])
    for table in (long, short):
        pairs = encode_pairs(table, tokenizer, "<|end|>")
        assert pairs.phenomenon == ("order",)
        assert tokenizer.decode(pairs.good.tokens[0].tolist()) == "a b"
    with pytest.raises(RecipeError, match="sentence_good"):
        encode_pairs(long.drop_columns("UID"), tokenizer, "<|end|>")


def test_blimp_is_read_whole(shared_data, tokenizer):
    table = pq.read_table(shared_data / "eval" / "blimp_mini.parquet")
    pairs = encode_pairs(table, tokenizer, "<|end|>")
    assert len(pairs.phenomenon) == len(pairs.good.tokens) == 6700
    assert len(set(pairs.phenomenon)) == 67
