"""Batches: pure functions of the step, the order's own sequences; shuffling is graded."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pytest

from corpus_builder.mixing.order import Order
from corpus_builder.store.arrow_streams import StreamWriter
from corpus_builder.store.errors import DataError, RecipeError
from corpus_builder.train.data import MixBatches, ShuffledTokens

LENGTH = 5


def store(folder, name, rows, kind, first):
    """A stream file whose sequence r is filled with first + r."""
    schema = pa.schema([("input_ids", pa.list_(kind, LENGTH))])
    values = np.repeat(np.arange(first, first + rows), LENGTH)
    column = pa.FixedSizeListArray.from_arrays(pa.array(values, kind), LENGTH)
    with StreamWriter(folder, name, schema, 3) as writer:
        writer.write(pa.RecordBatch.from_arrays([column], schema=schema))
        writer.close()
    return folder / name


@pytest.fixture
def mix(tmp_path):
    paths = {
        "a": (
            store(tmp_path, "a0", 4, pa.uint16(), 0),
            store(tmp_path, "a1", 3, pa.uint16(), 4),
        ),
        "b": (store(tmp_path, "b0", 5, pa.uint16(), 100),),
    }
    return MixBatches(Order(("a", "b"), (7, 5), ((9, 4),), seed=3), paths, 3)


def test_batches_are_the_sequences_of_the_order(mix):
    assert (mix.steps, mix.sequences, mix.sequence_length) == (4, 3, LENGTH)
    for step in range(mix.steps):
        batch = mix.batch(step)
        for row, slot in enumerate(range(3 * step, 3 * step + 3)):
            corpus, _, index = mix.order.sequence_at(slot)
            assert batch[row].tolist() == [(0, 100)[corpus] + index] * LENGTH


def test_a_batch_is_the_same_in_any_order_and_process(mix):
    backwards = [mix.batch(step) for step in (3, 2, 1, 0)]
    travelled = pickle.loads(pickle.dumps(mix))  # noqa: S301
    for step, batch in zip((3, 2, 1, 0), backwards, strict=True):
        assert np.array_equal(travelled.batch(step), batch)
    assert travelled.identity == mix.identity


def test_identity_follows_the_order_and_the_batch_size(mix):
    order = Order(("a", "b"), (7, 5), ((9, 4),), seed=4)
    assert (
        len(
            {
                mix.identity,
                MixBatches(order, mix.stores, 3).identity,
                MixBatches(mix.order, mix.stores, 2).identity,
            }
        )
        == 3
    )


def test_a_step_beyond_the_order_and_missing_files_are_refused(mix):
    with pytest.raises(DataError, match="step 4 is not within its 4 steps"):
        mix.batch(4)
    with pytest.raises(DataError, match=r"corpus 'b'.*no files"):
        lone = MixBatches(mix.order, {"a": mix.stores["a"]}, 13)
        lone.batch(0)
    with pytest.raises(DataError, match="counts 7 sequences, its files 4"):
        MixBatches(mix.order, {"a": mix.stores["a"][:1]}, 3).batch(0)


def test_shuffling_moves_tokens_and_loses_none(batches):
    sound = batches.batch(7)
    moved = ShuffledTokens(batches, 0.5, seed=1).batch(7)
    assert sorted(moved.ravel()) == sorted(sound.ravel())
    assert not np.array_equal(moved, sound)
    assert np.array_equal(moved, ShuffledTokens(batches, 0.5, seed=1).batch(7))
    assert not np.array_equal(moved, ShuffledTokens(batches, 0.5, seed=2).batch(7))


def test_nothing_is_shuffled_at_zero(batches):
    assert np.array_equal(ShuffledTokens(batches, 0.0, seed=1).batch(2), batches.batch(2))


class Distinct:
    """One batch of tokens that are all different, so that each can be followed."""

    steps, sequences, sequence_length, identity = 1, 100, 100, "distinct"

    def batch(self, step):
        return np.arange(10_000, dtype=np.uint16).reshape(100, 100)


def test_the_share_is_of_positions_and_a_larger_share_holds_a_smaller():
    sound, touched = Distinct().batch(0), {}
    for share in (0.05, 0.2, 0.5, 1.0):
        moved = ShuffledTokens(Distinct(), share, seed=0).batch(0) != sound
        assert share * 10_000 - 12 < moved.sum() <= share * 10_000  # a few land where they were
        touched[share] = moved
    assert (touched[0.05] & ~touched[0.2]).sum() < 12
    assert (touched[0.2] & ~touched[0.5]).sum() < 12
    rows = touched[0.05].sum(axis=1)
    assert rows.max() < 20  # spread over all sequences


def test_a_share_is_within_0_and_1(batches):
    with pytest.raises(RecipeError, match=r"1\.5"):
        ShuffledTokens(batches, 1.5, seed=0)
