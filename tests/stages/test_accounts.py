"""Nothing vanishes uncounted: every stage's sums close, and stage after stage they join."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pyarrow.parquet as pq
import pytest
from spine import Built

from corpus_builder.stages.base import RowStage
from corpus_builder.stages.read import BaseStage
from corpus_builder.stages.rows import chain_above

CORPORA = ("web", "notes", "code")


def test_in_is_out_plus_losses_in_every_stage_and_every_unit(small: Built) -> None:
    for manifest in small.manifests.values():
        counts = manifest.counts
        assert counts.records_in == counts.records_out + sum(counts.lost.values()), manifest.stage
        for unit in manifest.units:
            assert unit.rows_in == unit.rows_out + sum(unit.lost.values())
        assert counts.records_in == sum(unit.rows_in for unit in manifest.units)
        losses: Counter[str] = Counter()
        for unit in manifest.units:
            losses.update(unit.lost)
        assert losses == counts.lost


@pytest.mark.parametrize("corpus", CORPORA)
def test_what_leaves_a_stage_enters_the_next(small: Built, corpus: str) -> None:
    chain = chain_above(small.plan.stages[f"{corpus}.guard"])
    for above, below in pairwise(chain):
        assert (
            small.manifests[above.name].counts.records_out
            == small.manifests[below.name].counts.records_in
        ), below.name


@pytest.mark.parametrize("corpus", CORPORA)
def test_records_read_are_documents_out_plus_all_losses_by_cause(small: Built, corpus: str) -> None:
    chain = chain_above(small.plan.stages[f"{corpus}.guard"])
    read = small.manifests[chain[0].name].counts.records_in
    lost = sum(sum(small.lost(stage.name).values()) for stage in chain)
    documents = small.table(f"{corpus}.documents").num_rows
    assert read == documents + lost
    assert read == {"web": 40, "notes": 220, "code": 90}[corpus]


def test_planted_losses_carry_the_causes_they_were_planted_for(small: Built) -> None:
    assert small.lost("web.extract") == {"http_status": 1, "no_text": 1, "not_html": 1}
    assert small.lost("web.language") == {"language.other": 1}
    assert small.lost("web.transform") == {"transform.empty": 1}
    assert small.lost("notes.filter") == {"gopher.n_words": 2}
    assert small.lost("notes.dedup") == {"dedup.exact": 2, "dedup.near": 4}
    assert small.lost("web.dedup-across") == {"dedup-across.exact": 1}


@pytest.mark.parametrize("corpus", CORPORA)
def test_documents_are_exactly_the_rows_that_no_verdict_is_against(
    small: Built, corpus: str
) -> None:
    chain = chain_above(small.plan.stages[f"{corpus}.guard"])
    base = small.rows(chain[0].name)
    dropped = [
        [row["dropped_by"] is not None for row in small.rows(stage.name)]
        for stage in chain
        if isinstance(stage, RowStage) and "dropped_by" in stage.schema.names
    ]
    alive = [
        row["doc_id"] for row, *verdicts in zip(base, *dropped, strict=True) if not any(verdicts)
    ]
    assert [row["doc_id"] for row in small.rows(f"{corpus}.documents")] == alive


@pytest.mark.parametrize("corpus", CORPORA)
def test_sidecars_have_the_batches_of_the_base_table(small: Built, corpus: str) -> None:
    stages = [stage for stage in small.plan.stages.values() if stage.corpus == corpus]
    base = next(stage for stage in stages if isinstance(stage, BaseStage))
    for shard in small.plan.context.shard_names(corpus):
        sizes = {}
        for stage in stages:
            if isinstance(stage, BaseStage | RowStage):
                path = small.out / "stages" / stage.id / "data" / f"{shard}.parquet"
                metadata = pq.ParquetFile(path).metadata
                groups = range(metadata.num_row_groups)
                sizes[stage.name] = [metadata.row_group(group).num_rows for group in groups]
        assert all(found == sizes[base.name] for found in sizes.values()), sizes


def test_every_file_in_the_stages_is_claimed_by_a_record(small: Built) -> None:
    """But for records, manifests, and the notes on when an input was last seen."""
    for manifest in small.manifests.values():
        folder = small.out / "stages" / manifest.stage
        claimed = {file.path for unit in manifest.units for file in unit.files}
        found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        own = {f"records/{unit.unit}.json" for unit in manifest.units} | {"manifest.json"}
        seen = {name for name in found if name.startswith("seen/")}
        assert found - own - seen == claimed, manifest.stage
