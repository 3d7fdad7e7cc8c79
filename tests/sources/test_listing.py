"""Listing, splitting and naming: identity comes from names and sizes, never from the place."""

from __future__ import annotations

import os
import shutil
from itertools import pairwise
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_builder.sources.listing import SUFFIXES, list_inputs, make_splits, shard_name
from corpus_builder.sources.records import InputFile, Split
from corpus_builder.store.errors import SourceError

WARC = SUFFIXES["warc"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.warc.gz", "a.warc", "notes.txt", "deep/er/c.warc.gz", "deep/d.warc.gz"):
        path = tmp_path / "crawl" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "crawl"


def names(*patterns: Path | str) -> list[str]:
    return [file.name for file in list_inputs([str(p) for p in patterns], WARC)]


def test_a_folder_gives_all_files_of_the_format_below_it_by_name(folder: Path) -> None:
    assert names(folder) == ["a.warc", "b.warc.gz", "deep/d.warc.gz", "deep/er/c.warc.gz"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.gz", ["b.warc.gz"]),
        ("**/*.gz", ["b.warc.gz", "deep/d.warc.gz", "deep/er/c.warc.gz"]),
        ("deep/**/*.gz", ["d.warc.gz", "er/c.warc.gz"]),
        ("de*/d.warc.gz", ["deep/d.warc.gz"]),
        ("notes.*", ["notes.txt"]),
        ("a.warc", ["a.warc"]),
    ],
)
def test_names_are_relative_to_the_fixed_root(
    folder: Path, pattern: str, expected: list[str]
) -> None:
    assert names(folder / pattern) == expected


def test_several_patterns_share_one_root_and_each_file_counts_once(folder: Path) -> None:
    found = names(folder / "a.warc", folder / "deep/*.gz", folder / "deep" / "d.warc.gz")
    assert found == ["a.warc", "deep/d.warc.gz"]


def test_a_file_whose_name_holds_wildcards_is_taken_literally(tmp_path: Path) -> None:
    (tmp_path / "x[1].warc").write_bytes(b"1")
    assert names(tmp_path / "x[1].warc") == ["x[1].warc"]


def test_moving_the_files_changes_nothing_but_the_urls(folder: Path, tmp_path: Path) -> None:
    before = list_inputs([str(folder)], WARC)
    shutil.copytree(folder, tmp_path / "elsewhere" / "crawl")
    after = list_inputs([str(tmp_path / "elsewhere" / "crawl")], WARC)
    assert [(f.name, f.size) for f in before] == [(f.name, f.size) for f in after]
    shards = [[shard_name(s) for s in make_splits(files, "warc", 4)] for files in (before, after)]
    assert shards[0] == shards[1]


def test_a_touched_file_has_another_etag(folder: Path) -> None:
    (before,) = list_inputs([str(folder / "a.warc")], WARC)
    os.utime(folder / "a.warc", ns=(1, 1))
    (after,) = list_inputs([str(folder / "a.warc")], WARC)
    assert before.etag != after.etag == "1"


def test_urls_are_listed_through_fsspec() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/listing/x/a.warc": b"1", "/listing/b.warc.gz": b"22"})
    try:
        files = list_inputs(["memory://listing"], WARC)
        assert [(f.name, f.size) for f in files] == [("b.warc.gz", 2), ("x/a.warc", 1)]
        assert [f.url for f in files] == [
            "memory:///listing/b.warc.gz",
            "memory:///listing/x/a.warc",
        ]
        assert all(f.etag for f in files)
        (one,) = list_inputs(["memory://listing/**/a.*"], WARC)
        assert one.name == "x/a.warc"
    finally:
        memory.rm("/listing", recursive=True)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("b.warc.gs", "b.warc.gz"),
        ("depe/d.warc.gz", "deep"),
        ("*.parquet", "matches no file"),
        ("nowhere/at/all", "not found"),
    ],
)
def test_nothing_found_says_what_is_nearest(folder: Path, pattern: str, says: str) -> None:
    with pytest.raises(SourceError) as caught:
        names(folder / pattern)
    assert says in str(caught.value)
    assert str(folder / pattern) in str(caught.value)


def test_a_folder_without_files_of_the_format_says_which_endings_count(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(SourceError, match=r"\.warc\.gz"):
        names(tmp_path)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/twice/a.warc", b"1")
    (tmp_path / "a.warc").write_bytes(b"1")
    try:
        with pytest.raises(SourceError, match=r"the name 'a\.warc'"):
            names(tmp_path / "a.warc", "memory://twice/a.warc")
    finally:
        memory.rm("/twice", recursive=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused(folder: Path) -> None:
    (folder / "a.warc").chmod(0)
    with pytest.raises(SourceError, match="permission"):
        names(folder)


@settings(deadline=None)
@given(size=st.integers(0, 10**13), about=st.integers(1, 300))
def test_splits_cover_a_file_once_in_nearly_equal_ranges(size: int, about: int) -> None:
    split_size = max(1, size // about)
    splits = make_splits([InputFile("a.warc.gz", "", size, "")], "warc", split_size)
    assert splits[0].start == 0
    assert splits[-1].end == size
    assert all(a.end == b.start for a, b in pairwise(splits))
    assert [s.index for s in splits] == list(range(splits[0].count))
    lengths = {s.end - s.start for s in splits}
    assert max(lengths) - min(lengths) <= 1
    assert len(splits) == 1 or split_size / 2 <= max(lengths) <= 1.5 * split_size


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("a.jsonl", "jsonl", 10),
        ("a.jsonl.gz", "jsonl", 1),
        ("a.jsonl.zst", "jsonl", 1),
        ("a.warc.gz", "warc", 10),
        ("a.warc", "warc", 10),
        ("a.parquet", "parquet", 10),
    ],
)
def test_only_what_can_be_entered_in_the_middle_is_cut(name: str, kind: str, count: int) -> None:
    assert len(make_splits([InputFile(name, "", 1000, "")], kind, 100)) == count


@settings(deadline=None)
@given(name=st.text(min_size=1), size=st.integers(0, 1 << 40))
def test_shard_names_are_safe_and_know_nothing_of_the_place(name: str, size: int) -> None:
    here, there = (InputFile(name, url, size, etag) for url, etag in (("/a", "1"), ("s3://b", "2")))
    shard = shard_name(Split(here, 3, 12, 0, 1))
    assert shard == shard_name(Split(there, 3, 12, 0, 1))
    assert shard.isascii()
    assert not set(shard) & set('/\\:*?"<>| \n')
    assert not shard.startswith(".")
    assert len(shard) < 130
    assert shard.endswith("-00003-of-00012")


def test_shard_names_tell_apart_folder_size_and_index() -> None:
    splits = [
        Split(InputFile(name, "", size, ""), index, 2, 0, 1)
        for name in ("a/part-0.parquet", "b/part-0.parquet")
        for size in (1, 2)
        for index in (0, 1)
    ]
    assert len({shard_name(split) for split in splits}) == len(splits)
