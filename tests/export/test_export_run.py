"""Exports as a whole: atomic, repeatable, on record; refusals come before anything is written."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from exported import LENGTH, Run

from corpus_builder.cli.main import cli
from corpus_builder.export.content import Content
from corpus_builder.export.formats import FORMATS, choose
from corpus_builder.export.run import target_of
from corpus_builder.mixing.allocation import allocate
from corpus_builder.store.errors import DataError, IntegrityError, RecipeError

EVERY = [(name, what) for name, entry in FORMATS.items() for what in entry.whats]


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(("to", "what"), EVERY)
def test_manifest_hashes_every_file_and_a_second_export_has_the_same_bytes(
    narrow: Run, tmp_path: Path, to: str, what: str
) -> None:
    report = narrow.export(to, tmp_path / "one", what)
    narrow.export(to, tmp_path / "two", what)
    files = content(tmp_path / "one")
    assert files == content(tmp_path / "two")
    manifest = json.loads(files.pop("corpus-export.json"))
    found = {entry["path"]: (entry["bytes"], entry["sha256"]) for entry in manifest["files"]}
    assert found == {k: (len(v), hashlib.sha256(v).hexdigest()) for k, v in files.items()}
    assert report.written and report.bytes == sum(map(len, files.values()))
    assert hashlib.sha256(files["tokenizer.json"]).hexdigest() == manifest["tokenizer"]["sha256"]
    assert str(tmp_path) not in json.dumps(manifest)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_manifest_says_what_it_was_made_from(narrow: Run, tmp_path: Path) -> None:
    manifest = narrow.export("litdata", tmp_path / "x").manifest
    stage = narrow.context.stages["mix"]
    assert (manifest.stages[0].stage, manifest.stages[0].fingerprint) == (
        stage.id,
        stage.fingerprint,
    )
    assert manifest.counts["sequences"] == len(narrow.sequences)
    assert manifest.counts["tokens"] == narrow.sequences.size
    assert sum(part["sequences"] for part in manifest.counts["corpora"].values()) == len(
        narrow.sequences
    )
    assert f"block_size={LENGTH})" in manifest.reads
    documents = narrow.export("olmo", tmp_path / "y", "documents").manifest
    assert documents.counts["corpora"] == {
        corpus: {"documents": len(found), "tokens": sum(map(len, found))}
        for corpus, found in narrow.documents.items()
    }
    assert documents.weights == {"docs": 0.5, "code-x": 0.5}


@pytest.mark.parametrize("to", ["datatrove", "olmo"])
@pytest.mark.parametrize("what", ["mix", "documents"])
def test_readers_are_told_how_wide_a_token_is(
    to: str, what: str, narrow: Run, wide: Run, tmp_path: Path
) -> None:
    for run, size in ((narrow, 2), (wide, 4)):
        reads = run.export(to, tmp_path / str(size), what).manifest.reads
        said = {"datatrove": f"token_size={size}", "olmo": f"dtype=np.uint{8 * size}"}[to]
        assert said in reads


def test_weights_are_those_that_the_caps_left() -> None:
    parts = allocate(
        {"few": 10, "many": 100}, {"few": 0.5, "many": 0.5}, tokens=60, sequence_length=1,
        max_epochs=1, on_short="redistribute",
    )  # fmt: skip
    content: Any = SimpleNamespace(mix=SimpleNamespace(allocation=lambda _: parts), context=None)
    assert Content.weights.fget(content) == {"few": 10 / 60, "many": 50 / 60}


def test_a_target_that_cannot_be_is_an_error_of_ours(narrow: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written to: Not a directory"):
        narrow.export("olmo", tmp_path / "file" / "x")


def test_same_export_already_there_is_left_alone(narrow: Run, tmp_path: Path) -> None:
    target = tmp_path / "x"
    narrow.export("olmo", target)
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    report = narrow.export("olmo", target)
    assert not report.written
    assert before == {path: path.stat().st_mtime_ns for path in target.rglob("*")}


def test_another_or_a_damaged_export_is_refused_and_left_alone(narrow: Run, tmp_path: Path) -> None:
    target = tmp_path / "x"
    narrow.export("olmo", target)
    with pytest.raises(DataError, match="is not this export"):
        narrow.export("olmo", target, "documents")
    part = target / "part-00000.npy"
    part.write_bytes(part.read_bytes()[:-1] + b"\xff")
    held = content(target)
    with pytest.raises(
        DataError, match=r"not as it was written: part-00000\.npy is changed; remove"
    ):
        narrow.export("olmo", target)
    assert content(target) == held


def test_a_manifest_of_an_export_that_was_edited_is_none(narrow: Run, tmp_path: Path) -> None:
    target = tmp_path / "x"
    narrow.export("olmo", target)
    path = target / "corpus-export.json"
    found = json.loads(path.read_text())
    assert found["counts"]
    for change in ({"counts": {"code": 1}}, {"digest": ""}):
        path.write_text(json.dumps(found | change))
        with pytest.raises(DataError, match="is not this export"):
            narrow.export("olmo", target)


def test_files_that_are_missing_or_were_put_beside_are_named(narrow: Run, tmp_path: Path) -> None:
    target = tmp_path / "x"
    narrow.export("hf", target)
    (target / "state.json").unlink()
    (target / "notes.txt").write_text("")
    with pytest.raises(DataError, match=r"state\.json is missing, notes\.txt is not of it;"):
        narrow.export("hf", target)


def test_what_datasets_caches_beside_an_export_does_no_harm(narrow: Run, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs datasets, which writes the caches")
    target = tmp_path / "x"
    narrow.export("hf", target)
    held = content(target)
    datasets.load_from_disk(str(target)).map(lambda row: row)
    cached = content(target).keys() - held.keys()
    assert cached
    assert not narrow.export("hf", target).written
    next(iter(target.glob("cache-*"))).rename(target / "cache.arrow")
    with pytest.raises(DataError, match=r"cache\.arrow is not of it"):
        narrow.export("hf", target)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_not_an_export_is_never_touched(narrow: Run, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "x"
    kept = target if kind == "file" else target / "precious"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("precious")
    with pytest.raises(DataError, match="exists already"):
        narrow.export("nanogpt", target)
    assert kept.read_text() == "precious"


def test_an_empty_folder_is_filled(narrow: Run, tmp_path: Path) -> None:
    assert narrow.export("nanogpt", tmp_path).written
    assert (tmp_path / "corpus-export.json").exists()


def test_the_folder_one_is_in_may_be_filled(
    narrow: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the place of the one that a shell is in, which is said."""
    monkeypatch.chdir(tmp_path)
    args = ["export", str(narrow.folder.parent / "tiny.yaml"), "--to", "hf", "--target", "."]
    done = CliRunner().invoke(cli, [*args, "--out", str(narrow.folder)], catch_exceptions=False)
    assert done.exit_code == 0
    assert 'cd "$PWD"' in done.output
    assert (tmp_path / "corpus-export.json").exists()
    assert [path.name for path in tmp_path.parent.glob(".*.part")] == []


def test_kill_in_the_middle_leaves_no_target_and_the_next_export_is_whole(
    narrow: Run, tmp_path: Path
) -> None:
    """SIGKILL when train.bin is written and val.bin begun."""
    target = tmp_path / "x"
    recipe = narrow.folder.parent / "tiny.yaml"
    script = f"""
    import os, signal
    from pathlib import Path
    import corpus_builder as cb
    from corpus_builder.export.content import Content
    from corpus_builder.export.run import export

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    Content.heldout_documents = die
    plan = cb.load({str(recipe)!r}).plan(out={str(narrow.folder)!r})
    export(plan.definition.context, "tiny", "nanogpt", Path({str(target)!r}))
    """
    died = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert died.returncode == -9
    assert not target.exists()
    assert (tmp_path / ".x.part" / "train.bin").exists()
    (tmp_path / ".x.part" / "left-behind").write_text("by an export of another format")
    narrow.export("nanogpt", target)
    narrow.export("nanogpt", tmp_path / "y")
    assert content(target) == content(tmp_path / "y")
    assert not (tmp_path / ".x.part").exists()


def test_an_exception_leaves_nothing(
    narrow: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("corpus_builder.export.run.write", fail)
    with pytest.raises(OSError, match="disk full"):
        narrow.export("olmo", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_not_as_recorded_is_an_error(narrow: Run, tmp_path: Path) -> None:
    """A shard exchanged for a shorter one that Arrow can read."""
    copy = tmp_path / "run"
    shutil.copytree(narrow.folder, copy, symlinks=True)
    context = type(narrow.context)(copy, narrow.context.splits, narrow.context.stages)
    shards = sorted(copy.glob("stages/docs.encode-*/data/*.arrow"), key=lambda p: p.stat().st_size)
    assert len(shards) > 1
    shutil.copyfile(shards[0], shards[-1])
    broken = replace(narrow, context=context, folder=copy)
    for to in ("megatron", "hf", "parquet"):
        with pytest.raises(IntegrityError, match="its record says"):
            broken.export(to, tmp_path / to, "documents")
        assert not (tmp_path / to).exists()


@pytest.mark.parametrize(
    ("stage", "to", "what"),
    [
        ("mix", "hf", "mix"),
        ("mix", "parquet", "mix"),
        ("mix", "megatron", "mix"),
        ("mix", "litdata", "mix"),
        ("mix", "nanogpt", "mix"),
        ("mix", "datatrove", "mix"),
        ("mix", "olmo", "mix"),
        ("docs.encode", "hf", "documents"),
        ("docs.encode", "olmo", "documents"),
        ("docs.documents", "parquet", "text"),
        ("heldout", "parquet", "text"),
        ("heldout", "nanogpt", "mix"),
        ("tokenizer", "olmo", "mix"),
        ("tokenizer", "nanogpt", "mix"),
    ],
)
def test_one_bit_of_what_is_exported_cannot_change_unseen(
    narrow: Run, tmp_path: Path, stage: str, to: str, what: str
) -> None:
    """In the middle of a file, which has the size and the counts it had."""
    copy = tmp_path / "run"
    shutil.copytree(narrow.folder, copy, symlinks=True)
    files = [*copy.glob(f"stages/{stage}-*/data/*.arrow")]
    files += copy.glob(f"stages/{stage}-*/data/*.parquet")
    files += copy.glob(f"stages/{stage}-*/data/tokenizer.json")
    shard = max(files, key=lambda path: path.stat().st_size)
    raw = bytearray(shard.read_bytes())
    raw[len(raw) // 2] ^= 1
    shard.write_bytes(raw)
    context = type(narrow.context)(copy, narrow.context.splits, narrow.context.stages)
    with pytest.raises(IntegrityError, match="sha256 differs"):
        replace(narrow, context=context).export(to, tmp_path / "x", what)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["dataset_info.json", "state.json"])
def test_what_says_how_the_mix_is_read_cannot_change_unseen(
    narrow: Run, tmp_path: Path, name: str
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(narrow.folder, copy, symlinks=True)
    (path,) = copy.glob(f"stages/mix-*/data/{name}")
    path.write_bytes(path.read_bytes().replace(b"a", b"e", 1))
    context = type(narrow.context)(copy, narrow.context.splits, narrow.context.stages)
    with pytest.raises(IntegrityError, match=f"{name}: is not what its record says"):
        replace(narrow, context=context).export("hf", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_an_unfinished_run_is_refused(narrow: Run, tmp_path: Path) -> None:
    context = type(narrow.context)(tmp_path, narrow.context.splits, narrow.context.stages)
    empty = replace(narrow, context=context, folder=tmp_path)
    with pytest.raises(DataError, match="is not built yet"):
        empty.export("olmo", tmp_path / "x")


def test_a_target_goes_where_it_is_told_but_not_among_the_stages(tmp_path: Path) -> None:
    assert target_of(tmp_path, None, "olmo") == tmp_path / "exports" / "olmo-mix"
    assert target_of(tmp_path, str(tmp_path / "own"), "olmo") == tmp_path / "own"
    with pytest.raises(RecipeError, match=r"--target: is empty \(a variable without a value"):
        target_of(tmp_path, "", "olmo")
    for inside in (tmp_path / "stages", tmp_path / "x" / ".." / "stages" / "mix-1" / "y"):
        with pytest.raises(RecipeError, match="where the run keeps its own; name another folder"):
            target_of(tmp_path, inside, "olmo")


def test_names_are_checked() -> None:
    with pytest.raises(RecipeError, match="did you mean 'megatron'"):
        choose("megatrn", None)
    with pytest.raises(RecipeError, match="nanogpt does not hold 'documents'; allowed: mix"):
        choose("nanogpt", "documents")


def test_command_line(narrow: Run, tmp_path: Path) -> None:
    recipe = str(narrow.folder.parent / "tiny.yaml")
    args = ["export", recipe, "--to", "olmo", "--out", str(narrow.folder)]
    done = CliRunner().invoke(cli, [*args, "--target", str(tmp_path / "x")], catch_exceptions=False)
    assert done.exit_code == 0 and "written" in done.output
    again = CliRunner().invoke(cli, [*args, "--target", str(tmp_path / "x"), "--json"])
    shown = json.loads(again.output)
    assert shown["written"] is False and shown["to"] == "olmo"
    empty = CliRunner().invoke(cli, [*args, "--target", ""])
    assert isinstance(empty.exception, RecipeError)
    assert "--target: is empty" in str(empty.exception)
    helped = CliRunner().invoke(cli, ["export", "--help"]).output
    assert all(name in helped for name in FORMATS)
