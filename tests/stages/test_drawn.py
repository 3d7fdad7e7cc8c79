"""What a mix draws of its stores, against what is said of each of its sequences alone."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from spine import Built
from test_mix_stage import remixed

from corpus_builder.report.sequence import show
from corpus_builder.stages.mix import MixStage


def test_documents_are_counted_once_if_any_of_their_tokens_is_drawn(
    inputs: Path, small: Built, tmp_path: Path
) -> None:
    weights = {"web": 0.1, "notes": 0.1, "code": 0.8}
    run = remixed(inputs, small, tmp_path / "run", tokens=6_400, weights=weights)
    stage, context = run.plan.stages["mix"], run.plan.context
    assert isinstance(stage, MixStage)
    seen: dict[str, set[str]] = defaultdict(set)
    for number in range(6_400 // 64):
        view = show(context, stage, number)
        seen[view.corpus] |= {piece.doc_id for piece in view.pieces}
    corpora = run.manifests["mix"].facts["corpora"]
    for corpus, part in corpora.items():
        sizes = {
            r["doc_id"].hex(): len(r["text"].encode()) for r in run.rows(f"{corpus}.documents")
        }
        assert part["documents"] == len(seen[corpus])
        assert part["text_bytes"] == sum(sizes[identity] for identity in seen[corpus])
    assert corpora["web"]["documents"] < corpora["web"]["available_documents"]


@pytest.mark.parametrize("corpus", ["web", "notes", "code"])
def test_what_is_drawn_is_within_what_there_is(small: Built, corpus: str) -> None:
    part = small.manifests["mix"].facts["corpora"][corpus]
    assert 0 < part["documents"] <= part["available_documents"]
    assert 0 < part["text_bytes"] <= part["available_text_bytes"]
    assert "drawn" not in small.manifests["mix"].facts
