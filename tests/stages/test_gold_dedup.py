"""Deduplication through the pipeline on 20,001 documents whose similar pairs are all known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from spine import Built, built

Pairs = dict[frozenset[str], float]


@dataclass(frozen=True)
class Gold:
    """The run; source_id -> source_id of the keeper of what was dropped; true Jaccard by pair."""

    run: Built
    keeper: dict[str, str]
    verdict: dict[str, float]
    pairs: Pairs


@pytest.fixture(scope="module")
def gold(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Gold:
    source = {"parquet": str(shared_data / "dedup" / "docs.parquet"), "split_size": "4MB"}
    content = {"name": "gold", "corpora": {"docs": {"source": source, "stages": ["dedup"]}}}
    run = built(content, tmp_path_factory.mktemp("gold"), until="docs.dedup")
    base = run.table("docs.read").select(["doc_id", "source_id"]).to_pylist()
    names = {row["doc_id"]: row["source_id"] for row in base}
    keeper, verdict = {}, {}
    for row, found in zip(base, run.rows("docs.dedup"), strict=True):
        if found["dropped_by"]:
            keeper[row["source_id"]] = names[found["keeper"]]
            verdict[row["source_id"]] = found["jaccard"]
    table = pq.read_table(shared_data / "dedup" / "pairs.parquet").to_pylist()
    pairs = {frozenset((row["id_a"], row["id_b"])): row["jaccard"] for row in table}
    return Gold(run, keeper, verdict, pairs)


def test_the_whole_set_went_through_in_several_shards(gold: Gold) -> None:
    assert len(gold.run.plan.splits["docs"]) > 3
    counts = gold.run.manifests["docs.dedup"].counts
    assert (counts.records_in, counts.records_in - counts.records_out) == (20_001, len(gold.keeper))


@pytest.mark.parametrize(("low", "share"), [(0.8, 0.99), (0.85, 0.995), (0.9, 1.0)])
def test_of_nearly_every_similar_pair_one_is_dropped(gold: Gold, low: float, share: float) -> None:
    similar = [pair for pair, jaccard in gold.pairs.items() if jaccard >= low]
    met = sum(any(name in gold.keeper for name in pair) for pair in similar)
    assert len(similar) > 3000 and met / len(similar) >= share


def test_whatever_is_dropped_is_truly_similar_to_the_keeper_it_names(gold: Gold) -> None:
    assert len(gold.keeper) > 4000
    for name, keeper in gold.keeper.items():
        true = gold.pairs[frozenset((name, keeper))]
        assert true >= 0.8 and gold.verdict[name] == pytest.approx(true, abs=1e-6)
        assert keeper not in gold.keeper, "the keeper is kept"


def test_nothing_was_left_unverified(gold: Gold) -> None:
    assert gold.run.manifests["docs.dedup.groups"].facts["unverified"] == 0
