"""Commit records: sums that close, digests of content alone, files first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from corpus_builder.store.errors import IntegrityError
from corpus_builder.store.records import (
    UnitRecord,
    add_counts,
    combine_digests,
    drop_record,
    read_record,
    write_record,
)
from corpus_builder.store.tables import FileInfo

FILE = FileInfo("data/x.parquet", 10, 3, "a" * 64, "b" * 64)
RECORD = UnitRecord("data/x", "in", 5, 3, {"cause": 2}, {"tokens": 7}, (FILE,))


def test_a_record_comes_back_as_written(tmp_path: Path) -> None:
    assert read_record(tmp_path, "data/x") is None
    write_record(tmp_path, RECORD)
    assert read_record(tmp_path, "data/x") == RECORD
    drop_record(tmp_path, "data/x")
    assert read_record(tmp_path, "data/x") is None
    drop_record(tmp_path, "data/x")


@pytest.mark.parametrize(
    "changes", [{"rows_in": 6}, {"rows_out": 2}, {"lost": {}}, {"lost": {"c": 3}}]
)
def test_a_record_whose_sums_do_not_close_is_not_written(tmp_path: Path, changes: dict) -> None:
    with pytest.raises(IntegrityError, match="in, but"):
        write_record(tmp_path, replace(RECORD, **changes))
    assert read_record(tmp_path, "data/x") is None


def test_the_digest_is_of_what_the_unit_holds_and_not_of_how_it_is_stored() -> None:
    stored = replace(RECORD, files=(replace(FILE, sha256="c" * 64, bytes=99),))
    assert stored.digest == RECORD.digest
    for other in (
        replace(RECORD, rows_in=6, rows_out=4), replace(RECORD, lost={"other": 2}),
        replace(RECORD, facts={"tokens": 8}), replace(RECORD, files=()),
        replace(RECORD, files=(replace(FILE, logical="d" * 64),)),
    ):  # fmt: skip
        assert other.digest != RECORD.digest


def test_the_order_of_inputs_counts() -> None:
    assert combine_digests(["a", "b"]) != combine_digests(["b", "a"])
    assert combine_digests(["ab"]) != combine_digests(["a", "b"])


def test_counts_add_up_level_by_level_and_words_must_agree() -> None:
    into: dict = {}
    add_counts(into, {"rules": {"a": {"first": 1}}, "n": 2, "eos": "<e>"})
    add_counts(into, {"rules": {"a": {"first": 3}, "b": {"first": 1}}, "n": 5, "eos": "<e>"})
    assert into == {"rules": {"a": {"first": 4}, "b": {"first": 1}}, "n": 7, "eos": "<e>"}
    with pytest.raises(IntegrityError, match="units disagree"):
        add_counts(into, {"eos": "</s>"})
