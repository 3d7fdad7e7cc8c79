"""litdata, read by its own StreamingDataset: at block_size = T an item is a sequence of the mix."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from exported import CORPORA, LENGTH, Run
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.export import litdata as ours


def read_chunks(folder: Path, width: str) -> list[list[np.ndarray]]:
    """Items of every chunk, by the offsets in its header; sizes are as the index says."""
    index = json.loads((folder / "index.json").read_bytes())
    assert index["config"]["data_format"] == [
        {"<u2": "no_header_numpy:5", "<u4": "no_header_numpy:6"}[width]
    ]
    found = []
    for chunk in index["chunks"]:
        raw = (folder / chunk["filename"]).read_bytes()
        count = int(np.frombuffer(raw, "<u4", 1)[0])
        offsets = np.frombuffer(raw, "<u4", count + 1, 4).tolist()
        assert offsets[0] == 4 * (count + 2) and offsets[-1] == len(raw) == chunk["chunk_bytes"]
        items = [np.frombuffer(raw[start:stop], width) for start, stop in pairwise(offsets)]
        assert chunk["chunk_size"] == count and chunk["dim"] == sum(map(len, items))
        found.append(items)
    return found


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of some 20 sequences, so that there are many."""
    monkeypatch.setattr(ours, "CHUNK_BYTES", 3000)


@pytest.mark.usefixtures("small_chunks")
def test_mix_read_by_litdata(run: Run, tmp_path: Path) -> None:
    litdata = pytest.importorskip("litdata", reason="needs litdata's own reader")
    run.export("litdata", tmp_path / "x")
    loader = litdata.TokensLoader(block_size=LENGTH)
    found = litdata.StreamingDataset(str(tmp_path / "x"), item_loader=loader, shuffle=False)
    assert len(found) == len(run.sequences)
    assert np.array_equal(np.stack([np.asarray(item) for item in found]), run.sequences)


@pytest.mark.usefixtures("small_chunks")
def test_documents_read_by_litdata(run: Run, tmp_path: Path) -> None:
    """At block_size 1 the reader gives every token."""
    litdata = pytest.importorskip("litdata", reason="needs litdata's own reader")
    run.export("litdata", tmp_path / "x", "documents")
    loader = litdata.TokensLoader(block_size=1)
    folder = str(tmp_path / "x" / "docs")
    found = litdata.StreamingDataset(folder, item_loader=loader, shuffle=False)
    tokens = np.concatenate([np.asarray(item) for item in found])
    assert np.array_equal(tokens, np.concatenate(run.documents["docs"]))


@pytest.mark.usefixtures("small_chunks")
def test_chunks_hold_whole_items(run: Run, tmp_path: Path) -> None:
    run.export("litdata", tmp_path / "x", "mix")
    chunks = read_chunks(tmp_path / "x", run.width)
    assert len(chunks) > 3
    assert np.array_equal(np.stack([item for chunk in chunks for item in chunk]), run.sequences)
    run.export("litdata", tmp_path / "y", "documents")
    for corpus in CORPORA:
        chunks = read_chunks(tmp_path / "y" / corpus, run.width)
        items = [item.tolist() for chunk in chunks for item in chunk]
        assert items == [ids.tolist() for ids in run.documents[corpus]]


@given(st.lists(st.lists(st.integers(1, 40), max_size=12), max_size=8), st.integers(2, 60))
def test_cut_keeps_every_item_whole_and_fills_chunks(parts: list[list[int]], limit: int) -> None:
    total = sum(map(sum, parts))
    stream = np.arange(total, dtype=np.uint16)
    given_parts, at = [], 0
    for lengths in parts:
        given_parts.append((stream[at : at + sum(lengths)], np.array(lengths, np.int64)))
        at += sum(lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ours, "CHUNK_BYTES", limit)
        found = list(ours._cut(iter(given_parts), 2))
    flat = [length for lengths in parts for length in lengths]
    assert [length for _, lengths in found for length in lengths.tolist()] == flat
    assert np.array_equal(np.concatenate([np.empty(0, np.uint16), *(t for t, _ in found)]), stream)
    for number, (tokens, lengths) in enumerate(found):
        assert len(tokens) == lengths.sum() > 0
        assert len(lengths) == 1 or 2 * len(tokens) <= limit
        if number + 1 < len(found):
            assert 2 * (len(tokens) + found[number + 1][1][0]) > limit
