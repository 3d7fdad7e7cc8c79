"""Plans: listings only, the same stages everywhere, and fingerprints of what decides the output."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from spine import (
    Built,
    lay_inputs,
    notes,
    planned,
    prose,
    recipe,
    write_jsonl,
)

from corpus_builder.forecast import forecast
from corpus_builder.plan import LEAST_MEMORY, Plan, Resources, resources
from corpus_builder.store.errors import DataError, SourceError

Change = Callable[[dict[str, Any]], None]


def ids(plan: Plan) -> dict[str, str]:
    return {name: stage.fingerprint for name, stage in plan.stages.items()}


def moved(one: Plan, other: Plan) -> set[str]:
    """Stages of either plan with no equal fingerprint in the other."""
    a, b = ids(one), ids(other)
    return {name for name in a.keys() | b.keys() if a.get(name) != b.get(name)}


@pytest.fixture(scope="module")
def base(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(recipe(inputs), tmp_path_factory.mktemp("plan"))


def below(plan: Plan, *roots: str) -> set[str]:
    """Stages that read any of `roots`, and these."""
    found = set(roots)
    for name, stage in plan.stages.items():
        if any(above.name in found for above in stage.upstream):
            found.add(name)
    return found


def test_files_elsewhere_another_folder_and_other_order_of_keys_change_nothing(
    base: Plan, inputs: Path, tmp_path: Path
) -> None:
    shutil.copytree(inputs, tmp_path / "copy")
    content = recipe(tmp_path / "copy")
    shuffled = {key: content[key] for key in reversed(content)}
    other = planned(shuffled, tmp_path / "other" / "out")
    assert moved(base, other) == set()
    assert [s.file.name for s in other.splits["web"]] == [s.file.name for s in base.splits["web"]]


def test_plans_do_not_read_the_machine(base: Plan, inputs: Path, tmp_path: Path) -> None:
    from unittest.mock import patch

    with patch("os.cpu_count", return_value=1), patch("os.sched_getaffinity", return_value={0}):
        assert moved(base, planned(recipe(inputs), tmp_path)) == set()


def at(path: str, value: Any) -> Change:
    """A change of one value by dotted path."""

    def change(content: dict[str, Any]) -> None:
        *parents, last = [int(key) if key.isdecimal() else key for key in path.split(".")]
        inner: Any = content
        for key in parents:
            inner = inner[key]
        inner[last] = value

    return change


CHANGES = {
    "a threshold": (
        at("corpora.notes.stages.0.filter", [{"gopher": {"n_words.min": 31}}]), ["notes.filter"],
    ),
    "languages kept": (at("corpora.web.stages.1.language.keep", ["en", "la"]), ["web.language"]),
    "an extraction limit": (at("corpora.web.stages.0.extract.max_depth", 200), ["web.extract"]),
    "the extractor": (at("corpora.web.stages.0.extract.tool", "trafilatura"), ["web.extract"]),
    "a dedup threshold": (
        at("corpora.notes.stages.1.dedup.threshold", 0.9), ["notes.dedup.groups"],
    ),
    "dedup n-grams": (at("corpora.notes.stages.1.dedup.ngram", 6), ["notes.dedup.bands"]),
    "a source's limit": (at("corpora.code.source.max_record_bytes", "1MB"), ["code.read"]),
    "the held-out share": (
        at("heldout.share", "6%"),
        ["heldout", "notes.dedup.groups", "web.dedup.groups", "dedup-across.groups"],
    ),
    "the held-out threshold": (at("heldout.threshold", 0.7), ["heldout"]),
    "the vocabulary": (at("tokenizer.train.vocab", 301), ["tokenizer"]),
    "the sequence length": (
        at("mix.sequence_length", 128), ["web.tokens", "notes.tokens", "code.tokens"],
    ),
    "a weight": (at("mix.weights.web", 0.31), ["mix"]),
    "the seed": (at("mix.seed", 1), ["mix"]),
    "the order of corpora in dedup": (
        at("dedup.corpora", ["web", "notes"]), ["dedup-across.groups"],
    ),
    "columns of documents": (at("corpora.notes.documents", {"columns": ["n_lines"]}), [
        "notes.documents", "notes.documents.signals",
    ]),
    "buckets": (
        at("mix.buckets", {"notes": {"by": "n_words", "edges": [90], "times": [1, 2]}}),
        ["notes.tokens", "notes.buckets.signals", "mix"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_moves_the_stage_that_reads_it_and_all_below_and_nothing_else(
    base: Plan, inputs: Path, tmp_path: Path, name: str
) -> None:
    change, roots = CHANGES[name]
    content = copy.deepcopy(recipe(inputs))
    change(content)
    other = planned(content, tmp_path)
    known = [root for root in roots if root in base.stages]
    new = [root for root in roots if root in other.stages]
    assert moved(base, other) == below(base, *known) | below(other, *new)


def test_the_name_of_a_stage_moves_its_folder_and_not_what_reads_it(
    base: Plan, inputs: Path, tmp_path: Path
) -> None:
    content = copy.deepcopy(recipe(inputs))
    content["corpora"]["notes"]["stages"][0] = {"filter as own": [{"gopher": {"n_words.min": 30}}]}
    old = {"notes.filter", "notes.filter.signals"}
    new = {"notes.own", "notes.own.signals"}
    assert moved(base, planned(content, tmp_path)) == old | new


def test_the_name_and_words_of_a_recipe_change_nothing(
    base: Plan, inputs: Path, tmp_path: Path
) -> None:
    other = planned(recipe(inputs) | {"name": "other"}, tmp_path)
    assert moved(base, other) == set()


@pytest.mark.parametrize(("kind", "verb"), [("FilterStage", "filter"), ("TokensStage", "tokens")])
def test_a_new_version_of_a_stage_moves_it(
    base: Plan, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, verb: str
) -> None:
    monkeypatch.setattr(f"corpus_builder.stages.{verb}.{kind}.version", 99)
    roots = [name for name, stage in base.stages.items() if stage.verb == verb]
    assert moved(base, planned(recipe(inputs), tmp_path)) == below(base, *roots) != set()


def test_a_new_version_of_a_signal_moves_what_computes_it(
    base: Plan, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from corpus_builder.signals import FAMILIES

    newer = replace(FAMILIES["code"], version=99)
    monkeypatch.setattr("corpus_builder.stages.tag.FAMILIES", {**FAMILIES, "code": newer})
    other = planned(recipe(inputs), tmp_path)
    assert moved(base, other) == below(base, "code.filter.signals")


def test_the_content_of_model_and_tokenizer_counts_not_where_they_lie(
    base: Plan, inputs: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "elsewhere.bin"
    shutil.copy(inputs / "lid.bin", copied)
    content = recipe(inputs)
    content["corpora"]["web"]["stages"][1]["language"]["model"] = str(copied)
    assert moved(base, planned(content, tmp_path / "a")) == set()
    copied.write_bytes(copied.read_bytes() + b"\0")
    assert moved(base, planned(content, tmp_path / "b")) == below(base, "web.language.identify")


def test_a_file_more_moves_what_covers_the_set_and_nothing_row_local(
    base: Plan, inputs: Path, tmp_path: Path
) -> None:
    shutil.copytree(inputs, tmp_path / "copy")
    write_jsonl(tmp_path / "copy" / "notes" / "new.jsonl", notes(60, "new"))
    other = planned(recipe(tmp_path / "copy"), tmp_path / "out")
    sets = ["notes.dedup.groups", "dedup-across.groups", "heldout", "tokenizer", "notes.tokens"]
    assert moved(base, other) == below(base, *sets)
    for name in ("notes.read", "notes.filter.signals", "notes.filter", "notes.dedup.bands"):
        assert base.stages[name].id == other.stages[name].id


def test_making_a_plan_reads_no_data_and_writes_nothing(tmp_path: Path) -> None:
    """A listing gives names and sizes; the content may be anything."""
    lay_inputs(tmp_path / "in")
    for path in (tmp_path / "in").glob("*/*"):
        path.write_bytes(b"\0" * path.stat().st_size)
    plan = planned(recipe(tmp_path / "in"), tmp_path / "out")
    assert plan.progress()["web.extract"][0] == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["recipe.yaml"]


def test_progress_counts_shards_and_says_what_only_data_can_tell(small: Built, base: Plan) -> None:
    assert base.progress()["notes.read"] == (0, len(base.splits["notes"]))
    assert base.progress()["mix"] == (0, None)
    whole = small.plan.progress()
    assert all(done == units for done, units in whole.values())
    assert whole["notes.read"] == (len(base.splits["notes"]),) * 2


def test_every_stage_comes_after_what_it_reads(base: Plan) -> None:
    seen: set[str] = set()
    for name, stage in base.stages.items():
        assert {above.name for above in stage.upstream} <= seen
        seen.add(name)


def test_an_input_that_is_not_there_is_told_with_the_nearest_name(
    inputs: Path, tmp_path: Path
) -> None:
    content = recipe(inputs)
    content["corpora"]["notes"]["source"]["jsonl"] = str(inputs / "notes" / "note.jsonl")
    with pytest.raises(SourceError, match=r"notes\.jsonl"):
        planned(content, tmp_path)


def test_of_a_run_that_is_built_it_is_said_why_its_input_must_be_there(
    small: Built, inputs: Path
) -> None:
    content = recipe(inputs)
    content["corpora"]["notes"]["source"]["jsonl"] = str(inputs / "gone" / "notes.jsonl")
    with pytest.raises(SourceError, match="that is built is known by its input, and needs it"):
        planned(content, small.out)


def test_a_column_that_a_parquet_file_lacks_is_told_before_anything_is_read(
    inputs: Path, tmp_path: Path
) -> None:
    content = recipe(inputs)
    source = content["corpora"]["code"]["source"]
    for named, said in (({"text": "contents"}, "contents"), ({"scores": {"edu": "sc"}}, "edu")):
        content["corpora"]["code"]["source"] = source | named
        with pytest.raises(SourceError, match=f"no column .*{said}"):
            planned(content, tmp_path)
    skips = source | {"text": "contents", "on_bad_file": "skip"}
    content["corpora"]["code"]["source"] = skips
    planned(content, tmp_path)


def test_workers_fit_into_memory_and_share_it() -> None:
    assert resources(8, 3 * LEAST_MEMORY) == Resources(3, LEAST_MEMORY)
    assert resources(2, 10 * LEAST_MEMORY) == Resources(2, 5 * LEAST_MEMORY)
    assert resources(4, 1) == Resources(1, 1), "one worker at least"


def test_the_forecast_knows_sizes_before_and_counts_after(small: Built, base: Plan) -> None:
    given = Resources(1, 1 << 30)
    before, after = forecast(base, given), forecast(small.plan, given)
    text = sum(
        m.facts["text_bytes"]
        for m in small.manifests.values()
        if "text_bytes" in m.facts and m.identity["verb"] in ("read", "extract")
    )
    assert after["text_bytes"] == text
    assert after["documents"] == 37 + 220 + 90
    assert after["dedup_bytes"] == 24 * after["documents"]
    assert before["text_bytes"] > 0 and before["disk_bytes"] > before["text_bytes"]
    with pytest.raises(DataError, match="component table"):
        forecast(small.plan, Resources(1, 100))


def test_prose_is_stable() -> None:
    """Tests name documents by what they planted; the words must not move."""
    assert prose("x", 1) == prose("x", 1) != prose("y", 1)
