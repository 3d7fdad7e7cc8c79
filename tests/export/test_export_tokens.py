"""Raw formats: the same tokens, ends and order, read by readers written from the formats alone."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from exported import CORPORA, LENGTH, Run, segment_ends

from corpus_builder.export.megatron import token_dtype
from corpus_builder.store.errors import DataError

MEGATRON_TYPES = {8: "<u2", 4: "<i4"}


def read_megatron(prefix: Path) -> tuple[np.dtype, list[np.ndarray], np.ndarray]:
    """(token type, sequences, document numbers) of prefix.idx and prefix.bin, nothing left over."""
    index = prefix.with_name(prefix.name + ".idx").read_bytes()
    assert index[:9] == b"MMIDIDX\0\0"
    version, code, sequences, ends = struct.unpack_from("<QBQQ", index, 9)
    assert version == 1
    at = 9 + struct.calcsize("<QBQQ")
    lengths = np.frombuffer(index, "<i4", sequences, at)
    pointers = np.frombuffer(index, "<i8", sequences, at + 4 * sequences)
    documents = np.frombuffer(index, "<i8", ends, at + 12 * sequences)
    assert len(index) == at + 12 * sequences + 8 * ends
    dtype = np.dtype(MEGATRON_TYPES[code])
    raw = prefix.with_name(prefix.name + ".bin").read_bytes()
    assert len(raw) == int(lengths.sum()) * dtype.itemsize
    pairs = zip(lengths.tolist(), pointers.tolist(), strict=True)
    return dtype, [np.frombuffer(raw, dtype, size, place) for size, place in pairs], documents


def same(found: list[np.ndarray], wanted: list[np.ndarray]) -> bool:
    pairs = zip(found, wanted, strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


def test_megatron_documents(run: Run, tmp_path: Path) -> None:
    assert run.export("megatron", tmp_path / "x").manifest.what == "documents"
    for corpus in CORPORA:
        dtype, found, ends = read_megatron(tmp_path / "x" / corpus)
        assert dtype == np.dtype("<u2" if run.vocab < 65_500 else "<i4")
        assert same(found, run.documents[corpus])
        assert ends.tolist() == list(range(len(found) + 1))


def test_megatron_mix(run: Run, tmp_path: Path) -> None:
    run.export("megatron", tmp_path / "x", "mix")
    _, found, ends = read_megatron(tmp_path / "x" / "mix")
    assert same(found, list(run.sequences))
    assert ends.tolist() == list(range(len(run.sequences) + 1))


def test_megatron_index_in_many_steps_is_the_same(
    narrow: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow.export("megatron", tmp_path / "x")
    monkeypatch.setattr("corpus_builder.export.megatron.STEP", 7)
    narrow.export("megatron", tmp_path / "y")
    for corpus in CORPORA:
        one, two = (tmp_path / name / f"{corpus}.idx" for name in "xy")
        assert one.read_bytes() == two.read_bytes()


def test_megatron_width_follows_its_own_rule() -> None:
    assert [token_dtype(vocab) for vocab in (65_499, 65_500, 65_536)] == ["<u2", "<i4", "<i4"]


def test_nanogpt(narrow: Run, tmp_path: Path) -> None:
    manifest = narrow.export("nanogpt", tmp_path / "x").manifest
    train = np.fromfile(tmp_path / "x" / "train.bin", "<u2")
    assert np.array_equal(train, narrow.sequences.reshape(-1))
    val = np.fromfile(tmp_path / "x" / "val.bin", "<u2")
    assert len(narrow.heldout) > 0
    assert np.array_equal(val, np.concatenate(narrow.heldout))
    assert manifest.counts["heldout"] == {"documents": len(narrow.heldout), "tokens": len(val)}
    assert pickle.loads((tmp_path / "x" / "meta.pkl").read_bytes()) == {"vocab_size": narrow.vocab}  # noqa: S301


def test_nanogpt_refuses_what_does_not_fit_16_bits(wide: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="70,000 does not fit 16 bits"):
        wide.export("nanogpt", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def read_ends(path: Path) -> list[tuple[int, int]]:
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return [(int(start), int(end)) for start, end in (line.split(",") for line in lines)]


def test_olmo_mix(run: Run, tmp_path: Path) -> None:
    run.export("olmo", tmp_path / "x")
    found = np.memmap(tmp_path / "x" / "part-00000.npy", run.width, "r")
    assert np.array_equal(found.reshape(-1, LENGTH), run.sequences)
    pairs = read_ends(tmp_path / "x" / "part-00000.csv.gz")
    ends = segment_ends(run.sequences, run.eos)
    assert pairs == list(zip([0, *ends], ends, strict=False))


def test_olmo_documents(run: Run, tmp_path: Path) -> None:
    run.export("olmo", tmp_path / "x", "documents")
    for corpus in CORPORA:
        found = []
        paths = sorted((tmp_path / "x" / corpus).glob("*.npy"))
        assert len(paths) > 1
        for path in paths:
            tokens = np.memmap(path, run.width, "r")
            pairs = read_ends(path.with_suffix(".csv.gz"))
            assert pairs[0][0] == 0 and pairs[-1][1] == len(tokens)
            # What OLMo-core finds in the array itself: documents end at the end token.
            assert [end for _, end in pairs] == (np.flatnonzero(tokens == run.eos) + 1).tolist()
            found += [tokens[start:end] for start, end in pairs]
        assert same(found, run.documents[corpus])


@pytest.mark.parametrize("to", ["megatron", "litdata", "nanogpt", "datatrove", "olmo"])
def test_mix_read_in_small_slices_gives_the_same_bytes(
    narrow: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    one = narrow.export(to, tmp_path / "one", "mix")
    monkeypatch.setattr("corpus_builder.export.content.SLICE_TOKENS", 7 * LENGTH)
    two = narrow.export(to, tmp_path / "two", "mix")
    assert one.manifest == two.manifest
