"""Running again: what changed and what follows it is done, nothing else; and what lies about."""

from __future__ import annotations

import copy
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from spine import Built, built, notes, notes_recipe, planned, recipe, tree, write_jsonl

from corpus_builder import runner
from corpus_builder.minhash.banding import table_bytes
from corpus_builder.runner import collect_garbage, unreferenced
from corpus_builder.store.atomic import run_lock
from corpus_builder.store.errors import EngineError, LockedError, RecipeError

FILTER = {"filter": [{"gopher": {"n_words.min": 30}}]}


def changed(content: dict[str, Any], min_words: int) -> dict[str, Any]:
    """The standard recipe with another threshold in `notes.filter`."""
    other = copy.deepcopy(content)
    other["corpora"]["notes"]["stages"][0]["filter"] = [{"gopher": {"n_words.min": min_words}}]
    return other


def two_files(folder: Path) -> dict[str, Any]:
    """A recipe over two JSONL files of several splits each, with dedup and a held-out part."""
    write_jsonl(folder / "in" / "a.jsonl", notes(80))
    rows = notes(50, "more")
    rows[5]["text"] += " It ends in alpha."
    write_jsonl(folder / "in" / "b.jsonl", rows)
    return notes_recipe(
        folder / "in" / "*.jsonl", FILTER, "dedup", heldout={"share": "5%", "max_documents": 5}
    )


def done(run: Built) -> dict[str, int]:
    return {name: count for name, count in run.report.done.items() if count}


@pytest.fixture
def copied(small: Built, tmp_path: Path) -> Path:
    """A copy of the standard run's folder."""
    shutil.copytree(small.out, tmp_path / "out", symlinks=True)
    return tmp_path / "out"


def test_the_same_again_does_nothing_and_changes_no_byte(
    small: Built, inputs: Path, copied: Path
) -> None:
    before = tree(copied / "stages")
    again = built(recipe(inputs), copied)
    assert done(again) == {}
    assert again.report.reused == {
        name: len(manifest.units) for name, manifest in small.manifests.items()
    }
    assert tree(copied / "stages") == before


def test_the_report_of_a_first_run_counts_every_unit(small: Built) -> None:
    units = {name: len(manifest.units) for name, manifest in small.manifests.items()}
    assert done(small) == units
    assert set(small.report.reused.values()) == {0}
    assert {manifest.name for manifest in small.report.manifests} == set(small.plan.stages)


def test_memory_does_not_show_in_any_byte(small: Built, inputs: Path, tmp_path: Path) -> None:
    """With 2 KiB the grouping works in many parts; orders and files stay the same."""
    assert table_bytes(300) > 2 * 2048
    little = built(recipe(inputs), tmp_path / "little", memory=2048)
    assert tree(little.out / "stages") == tree(small.out / "stages")


def test_a_threshold_reruns_its_filter_and_what_follows(inputs: Path, copied: Path) -> None:
    plan = planned(changed(recipe(inputs), 150), copied)
    kept = {name for name, (count, units) in plan.progress().items() if count == units}
    above = {"notes.read", "notes.filter.signals"}
    others = {name for name in plan.stages if name.startswith(("web.", "code."))}
    others -= {
        n for n in others if n.partition(".")[2] in ("guard", "documents", "encode", "tokens")
    }
    others -= {"web.dedup-across"}
    assert kept == above | others, "what the plan says before"
    run = built(plan, copied)
    assert set(done(run)) == set(plan.stages) - kept, "what the run did"
    assert run.manifests["notes.filter"].counts.records_out < 218


def test_going_back_to_the_old_threshold_does_nothing(inputs: Path, copied: Path) -> None:
    before = tree(copied / "stages")
    built(changed(recipe(inputs), 150), copied)
    assert done(built(recipe(inputs), copied)) == {}
    assert before.items() <= tree(copied / "stages").items()


def test_a_file_added_to_the_glob_is_the_only_one_read(tmp_path: Path) -> None:
    content = two_files(tmp_path)
    first = built(content, tmp_path / "out")
    row_local = {"notes.read", "notes.filter.signals", "notes.filter", "notes.dedup.bands"}
    write_jsonl(tmp_path / "in" / "c.jsonl", notes(60, "new"))
    plan = planned(content, tmp_path / "out")
    new = len(plan.splits["notes"]) - len(first.plan.splits["notes"])
    assert new >= 1
    progress = plan.progress()
    for name in row_local:
        found, units = progress[name]
        assert units is not None and units - found == new
    second = built(plan, tmp_path / "out")
    for name in row_local:
        assert plan.stages[name].id == first.plan.stages[name].id
        assert done(second)[name] == new, name
        assert second.report.reused[name] == len(first.plan.splits["notes"])
    assert done(second)["notes.dedup"] == len(plan.splits["notes"]), "dedup covers the set"
    fresh = built(content, tmp_path / "fresh")
    assert documents(second) == documents(fresh)
    now = {m.stage: m for m in second.plan.manifests()}
    assert now == {m.stage: m for m in fresh.plan.manifests()}


def documents(run: Built) -> list[dict[str, Any]]:
    return run.rows("notes.documents")


def in_place(path: Path, old: str, new: str) -> None:
    """Change a file's content, not its size; its modification time moves."""
    content = path.read_text()
    assert old in content and len(old) == len(new)
    path.write_text(content.replace(old, new))
    later = path.stat().st_mtime_ns + 1_000_000_000
    os.utime(path, ns=(later, later))


def test_a_file_changed_in_place_is_redone_with_all_that_follows(tmp_path: Path) -> None:
    """Even where no verdict changes: equal verdicts on other texts are not equal."""
    content = two_files(tmp_path)
    first = documents(built(content, tmp_path / "out"))
    in_place(tmp_path / "in" / "b.jsonl", "alpha", "omega")
    plan = planned(content, tmp_path / "out")
    shards = [name for name in plan.context.shard_names("notes") if name.startswith("b.jsonl")]
    progress = plan.progress()
    assert progress["notes.read"] == (
        len(plan.splits["notes"]) - len(shards),
        len(plan.splits["notes"]),
    )
    assert progress["notes.documents"] == (0, None), "nothing below is said to be done"
    second = built(plan, tmp_path / "out")
    assert done(second)["notes.read"] == len(shards), "all of the file is read"
    for name in ("notes.filter.signals", "notes.filter", "notes.dedup.bands"):
        assert done(second)[name] == 1, f"{name}: what was read as before keeps all below"
    assert documents(second) != first
    assert [row["text"] for row in documents(second) if "omega" in row["text"]]
    built(content, tmp_path / "fresh")
    assert tree(tmp_path / "out" / "stages") == tree(tmp_path / "fresh" / "stages")


def test_a_file_touched_but_equal_is_read_and_nothing_else(tmp_path: Path) -> None:
    content = two_files(tmp_path)
    built(content, tmp_path / "out")
    path = tmp_path / "in" / "b.jsonl"
    in_place(path, "more", "more")
    before = tree(tmp_path / "out" / "stages")
    plan = planned(content, tmp_path / "out")
    shards = [name for name in plan.context.shard_names("notes") if name.startswith("b.jsonl")]
    run = built(plan, tmp_path / "out")
    assert done(run) == {"notes.read": len(shards)}
    after = tree(tmp_path / "out" / "stages")
    assert {name for name in after if after[name] != before[name]} == {
        f"{plan.stages['notes.read'].id}/seen/{shard}.json" for shard in shards
    }


def test_a_stage_folder_deleted_is_rebuilt_to_the_same_bytes(copied: Path, inputs: Path) -> None:
    before = tree(copied / "stages")
    plan = planned(recipe(inputs), copied)
    for name in ("notes.filter", "notes.dedup.groups", "code.encode", "mix"):
        shutil.rmtree(copied / "stages" / plan.stages[name].id)
    run = built(plan, copied)
    # Below the first stage to do, a pass over a shard writes all its stages again.
    again = {"notes.filter", "notes.dedup.bands", "notes.dedup.groups", "code.encode", "mix"}
    assert set(done(run)) == again
    assert tree(copied / "stages") == before


@pytest.mark.parametrize("place", ["read", "rows"])
def test_a_redo_that_dies_half_way_is_never_taken_for_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A changed file is read, tables are replaced, the run dies, and the file is put back."""
    content = two_files(tmp_path)
    first = built(content, tmp_path / "out")
    expected, path = tree(tmp_path / "out" / "stages"), tmp_path / "in" / "b.jsonl"
    status, old = path.stat(), path.read_bytes()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    in_place(path, " ends in alpha", "_ends_in_alpha")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(f"corpus_builder.stages.{place}.write_record", die)
        built(content, tmp_path / "out")
    assert tree(tmp_path / "out" / "stages") != expected, "tables were replaced"
    path.write_bytes(old)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert first.plan.progress()["notes.filter"][0] < len(first.plan.splits["notes"])
    built(content, tmp_path / "out")
    assert tree(tmp_path / "out" / "stages") == expected


def test_what_is_sealed_always_belongs_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ends while it redoes a stage leaves no manifest of what reads that stage."""
    content = two_files(tmp_path)
    built(content, tmp_path / "out")
    in_place(tmp_path / "in" / "b.jsonl", "more-5", "more-6")
    plan = planned(content, tmp_path / "out")
    run = built(plan, tmp_path / "out", until="notes.filter")
    assert set(run.manifests) == {"notes.read", "notes.filter.signals", "notes.filter"}


def test_until_stops_after_a_stage_and_what_it_reads(inputs: Path, tmp_path: Path) -> None:
    run = built(recipe(inputs), tmp_path, until="web.filter")
    names = ("extract", "language.identify", "language", "filter.signals", "filter")
    assert set(run.manifests) == {f"web.{name}" for name in names}
    assert not (tmp_path / "documents").exists(), "products are published by whole runs"
    with pytest.raises(RecipeError, match=r"did you mean 'web\.filter'"):
        built(recipe(inputs), tmp_path, until="web.filtr")


def test_a_run_publishes_links_that_stay_within_its_folder(small: Built, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(small.out, moved, symlinks=True)
    assert (moved / "mix" / "state.json").is_file()
    for corpus in ("web", "notes", "code"):
        link = moved / "documents" / corpus
        assert link.is_symlink() and not link.readlink().is_absolute()
        assert len(list(link.glob("*.parquet"))) == len(small.plan.splits[corpus])


def test_gc_removes_exactly_what_no_recipe_refers_to(inputs: Path, copied: Path) -> None:
    first = {path.name for path in (copied / "stages").iterdir()}
    second = built(changed(recipe(inputs), 150), copied)
    now = {stage.id for stage in second.plan.stages.values()}
    assert {path.name for path in unreferenced(copied)} == first - now != set()
    said: list[str] = []
    total = collect_garbage(copied, lambda path, size: said.append(path.name), dry_run=True)
    assert set(said) == first - now and total > 0
    assert {path.name for path in (copied / "stages").iterdir()} == first | now
    assert collect_garbage(copied, lambda path, size: None, dry_run=False) == total
    assert {path.name for path in (copied / "stages").iterdir()} == now
    assert unreferenced(copied) == []


def test_gc_keeps_the_stages_of_every_recipe_run_in_the_folder(inputs: Path, copied: Path) -> None:
    other = changed(recipe(inputs), 150) | {"name": "other"}
    built(other, copied)
    assert unreferenced(copied) == []


def test_gc_and_run_keep_out_of_each_others_way(inputs: Path, copied: Path) -> None:
    with run_lock(copied), pytest.raises(LockedError):
        collect_garbage(copied, lambda path, size: None, dry_run=False)
    with run_lock(copied), pytest.raises(LockedError):
        built(recipe(inputs), copied)


def test_leftovers_of_killed_writers_are_swept(inputs: Path, copied: Path) -> None:
    before = tree(copied / "stages")
    folder = next((copied / "stages").glob("notes.filter-*")) / "data"
    (folder / ".x.parquet.123.part").write_bytes(b"half")
    built(recipe(inputs), copied)
    assert tree(copied / "stages") == before


def test_times_and_hosts_are_noted_beside_the_manifests(small: Built) -> None:
    import json

    runs = json.loads((small.out / "timing.json").read_text())
    assert runs[0]["workers"] == 1 and runs[0]["launches"][0]["tasks"] > 0


def test_tasks_that_never_become_done_are_a_fault_not_a_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = two_files(tmp_path)
    monkeypatch.setattr("corpus_builder.work.write_record", lambda folder, record: None)
    with pytest.raises(EngineError, match="was done, yet is still to do"):
        built(content, tmp_path / "out")


def test_a_plan_looked_at_before_its_run_knows_no_less(tmp_path: Path) -> None:
    """What a plan has read of an older state must not be taken for the new one."""
    content = two_files(tmp_path)
    built(content, tmp_path / "out")
    in_place(tmp_path / "in" / "b.jsonl", "more-5", "more-6")
    plan = planned(content, tmp_path / "out")
    plan.progress()
    for stage in ("notes.dedup.bands", "notes.dedup.groups", "heldout"):
        plan.context.stage_digest(plan.stages[stage])
    run = built(plan, tmp_path / "out")
    assert set(run.manifests) == set(plan.stages)


def test_watchers_hear_of_launches_and_seals(tmp_path: Path) -> None:
    heard: list[tuple[str, Any]] = []

    class Watcher(runner.Silent):
        def launched(self, title: str, tasks: int) -> None:
            heard.append((title, tasks))

        def sealed(self, stage: Any, manifest: Any) -> None:
            heard.append(("sealed", stage.name))

    plan = planned(two_files(tmp_path), tmp_path / "out")
    built(plan, tmp_path / "out", watcher=Watcher())
    assert heard[0] == ("notes: read → dedup.bands", len(plan.splits["notes"]))
    assert {name for kind, name in heard if kind == "sealed"} == set(plan.stages)
