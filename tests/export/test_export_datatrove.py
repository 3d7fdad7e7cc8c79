"""datatrove: the files its own writer makes, and what its own reader finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datatrove.pipeline.tokens.tokenizer import TokenizedFile
from exported import CORPORA, LENGTH, Run, segment_ends
from hypothesis import example, given
from hypothesis import strategies as st

from corpus_builder.export.datatrove import metric


@pytest.mark.parametrize("corpus", CORPORA)
def test_documents_are_the_files_that_datatrove_writes(
    run: Run, tmp_path: Path, corpus: str
) -> None:
    run.export("datatrove", tmp_path / "x")
    name = f"00000_{corpus}.ds"
    size = int(run.width[-1])
    theirs = TokenizedFile(
        str(tmp_path / "theirs"), name, token_size=size, save_final_metadata=True,
        tokenizer_name_or_path="tokenizer.json",
    )  # fmt: skip
    for ids in run.documents[corpus]:
        theirs.write(ids.tolist(), None)
    theirs.close()
    for suffix in ("", ".index", ".metadata"):
        wanted = (tmp_path / "theirs" / f"{name}{suffix}").read_bytes()
        assert (tmp_path / "x" / corpus / f"{name}{suffix}").read_bytes() == wanted


def test_mix_read_by_datatrove_is_the_sequences_with_positions_that_start_again(
    run: Run, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="datatrove's reader needs torch")
    from datatrove.utils.dataset import DatatroveFileDataset

    run.export("datatrove", tmp_path / "x", "mix")
    found = DatatroveFileDataset(
        str(tmp_path / "x" / "mix" / "00000_mix.ds"), LENGTH - 1, int(run.width[-1]),
        return_positions=True,
    )  # fmt: skip
    assert len(found) == len(run.sequences)
    starts = {0, *segment_ends(run.sequences, run.eos)}
    for number, wanted in enumerate(run.sequences):
        item = found[number]
        assert np.array_equal(item["input_ids"].numpy(), wanted)
        places = range(number * LENGTH, (number + 1) * LENGTH)
        begins = [place for place in places if place in starts]
        positions = [place - max(b for b in begins if b <= place) for place in places]
        assert item["positions"].tolist() == positions


@given(st.integers(1, 10**18))
@example(999_999)
@example(9_996)
def test_metric_has_three_digits_and_is_right(tokens: int) -> None:
    number, unit = metric(tokens).split(" ")
    value = float(number) * 1000 ** ("T", "kT", "MT", "GT", "TT", "PT", "ET").index(unit)
    assert len(number.replace(".", "")) == 3 and float(number) < 1000
    assert abs(value - tokens) <= 0.00501 * tokens
