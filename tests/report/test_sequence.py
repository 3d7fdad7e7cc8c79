"""What `corpus mix --show` says of a sequence is what the mix holds there."""

from __future__ import annotations

import datasets
import pytest
from spine import Built

from corpus_builder.report.sequence import show
from corpus_builder.stages.encoder import load_tokenizer
from corpus_builder.stages.mix import MixStage
from corpus_builder.store.errors import DataError


def mix_of(run: Built) -> MixStage:
    stage = run.plan.stages["mix"]
    assert isinstance(stage, MixStage)
    return stage


def test_pieces_cover_the_sequence_and_decode_to_its_tokens(small: Built) -> None:
    mix, context = mix_of(small), small.plan.context
    data = datasets.load_from_disk(str(small.out / "mix"))
    store = next(iter(mix.stores.values()))
    tokenizer = load_tokenizer(store.encode.tokenizer.file(context))
    for number in range(0, len(data), 7):
        view = show(context, mix, number)
        ids = data[number]["input_ids"]
        assert view.pieces[0].start == 0
        assert view.pieces[-1].stop == len(ids)
        for before, after in zip(view.pieces, view.pieces[1:], strict=False):
            assert before.stop == after.start
            assert before.text.endswith("<|endoftext|>")
        for piece in view.pieces:
            decoded = tokenizer.decode(ids[piece.start : piece.stop], skip_special_tokens=False)
            assert piece.text == decoded


def test_pieces_name_documents_of_their_corpus(small: Built) -> None:
    mix, context = mix_of(small), small.plan.context
    for number in (0, 5, 50):
        view = show(context, mix, number)
        known = {row["doc_id"].hex(): row for row in small.rows(f"{view.corpus}.documents")}
        for piece in view.pieces:
            assert known[piece.doc_id]["url"] == piece.url
            assert known[piece.doc_id]["file"] == piece.file


def test_a_number_past_the_end_says_what_there_is(small: Built) -> None:
    with pytest.raises(DataError, match="0 to"):
        show(small.plan.context, mix_of(small), 10**9)
