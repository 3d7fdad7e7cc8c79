"""Funnels close, single documents show the verdict on record, and damage is found."""

from __future__ import annotations

import io
import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console
from spine import Built, built, recipe

from corpus_builder.report import peek
from corpus_builder.report.funnel import as_json, funnel, render
from corpus_builder.report.verify import Finding, verify
from corpus_builder.store.manifest import StageManifest

CORPORA = ("web", "notes", "code")


@pytest.fixture
def copied(small: Built, tmp_path: Path) -> Path:
    shutil.copytree(small.out / "stages", tmp_path / "stages")
    return tmp_path / "stages"


# --- funnel ------------------------------------------------------------------------------------


def test_rows_of_a_funnel_close_and_join(small: Built) -> None:
    found = funnel(small.plan.manifests())
    assert set(found) == set(CORPORA)
    for corpus, rows in found.items():
        for row in rows:
            assert row.records_in == row.records_out + sum(row.lost.values())
        assert all(a.records_out == b.records_in for a, b in pairwise(rows))
        assert rows[-1].records_out == small.table(f"{corpus}.documents").num_rows
    names = [row.stage for row in found["web"]]
    assert names == [
        "extract",
        "language",
        "filter",
        "transform",
        "late",
        "dedup",
        "dedup-across",
        "guard",
    ]


def test_the_funnel_as_json_is_plain_and_has_the_mix(small: Built) -> None:
    content = json.loads(json.dumps(as_json(small.plan.manifests())))
    assert content["corpora"]["notes"][0]["records_in"] == 220
    assert content["corpora"]["notes"][1]["rules"]["gopher.n_words"]["first"] == 2
    assert sum(part["sequences"] for part in content["mix"]["corpora"].values()) == 12_000 // 64
    assert set(content["tokens"]) == set(CORPORA)


def test_the_funnel_on_screen_shows_causes_rules_and_weights(small: Built) -> None:
    screen = Console(width=110, record=True, file=io.StringIO())
    for part in render(small.plan.manifests(), rules=True):
        screen.print(part)
    text = screen.export_text()
    for expected in ("no_text 1", "exact 2", "n_words", "dropped first", "12,000 tokens", "0.5000"):
        assert expected in text, expected


def test_a_funnel_of_nothing_is_empty() -> None:
    assert funnel([]) == {} and list(render([])) == []


# --- peek --------------------------------------------------------------------------------------


def test_documents_dropped_by_a_cause_show_value_and_text(small: Built) -> None:
    stages = list(small.plan.stages.values())
    found = list(peek.dropped(small.plan.context, stages, "gopher.n_words"))
    assert [(item.fate, item.text) for item in found] == [
        ("gopher.n_words", "Too short to keep."), ("gopher.n_words", "Too short to keep."),
    ]  # fmt: skip
    assert all(item.detail == "value 4" and item.corpus == "notes" for item in found)


def test_a_cause_may_be_asked_for_without_its_stage(small: Built) -> None:
    stages = list(small.plan.stages.values())
    assert len(list(peek.dropped(small.plan.context, stages, "n_words"))) == 2
    assert len(list(peek.dropped(small.plan.context, stages, "near"))) == 4
    assert not list(peek.dropped(small.plan.context, stages, "words"))


def test_every_dropped_document_of_every_cause_can_be_shown(small: Built) -> None:
    for manifest in small.plan.manifests():
        for cause, count in manifest.counts.lost.items():
            only = [small.plan.stages[manifest.name]]
            found = list(peek.dropped(small.plan.context, only, cause))
            assert len(found) == count, cause
            assert {item.fate for item in found} == {cause}
    known = set(peek.causes(small.plan.manifests()))
    assert known >= {"no_text", "dedup.near", "transform.empty", "heldout.reserved"}


def test_duplicates_name_their_keeper_which_is_kept(small: Built) -> None:
    stages, context = list(small.plan.stages.values()), small.plan.context
    for item in peek.dropped(context, stages, "dedup.near"):
        keeper = item.detail.rpartition(" ")[2]
        (fate,) = {found.fate for found in peek.fates(context, stages, keeper)}
        assert fate in ("kept", "heldout.reserved", "heldout.near")


@pytest.mark.parametrize(
    ("document", "fate"),
    [
        ("gone", "http_status"), ("latin", "language.other"), ("endless", "transform.empty"),
        ("copy", "dedup-across.exact"), ("note/30", "gopher.n_words"), ("cookie", None),
    ],
)  # fmt: skip
def test_the_fate_of_a_url_is_told(small: Built, document: str, fate: str | None) -> None:
    stages, context = list(small.plan.stages.values()), small.plan.context
    (found,) = peek.fates(context, stages, f"https://site.example/{document}")
    assert found.fate == (fate or found.fate)
    if fate is None:
        kept = {row["url"] for row in small.rows("web.documents")}
        assert (found.fate == "kept") == (found.url in kept)


def test_the_fate_by_id_is_that_of_the_row(small: Built) -> None:
    stages, context = list(small.plan.stages.values()), small.plan.context
    kept = {row["doc_id"] for row in small.rows("code.documents")}
    for row in small.rows("code.read")[:20]:
        (found,) = peek.fates(context, stages, row["doc_id"].hex())
        assert (found.fate == "kept") == (row["doc_id"] in kept)
        assert found.text == row["text"]


def test_kept_documents_are_those_written(small: Built) -> None:
    stages, context = list(small.plan.stages.values()), small.plan.context
    found = [(item.corpus, item.doc_id) for item in peek.kept(context, stages)]
    expected = [
        (corpus, row["doc_id"].hex())
        for corpus in CORPORA
        for row in small.rows(f"{corpus}.documents")
    ]
    assert sorted(found) == sorted(expected)


# --- verify ------------------------------------------------------------------------------------


def findings(stages: Path, manifests: list[StageManifest]) -> list[Finding]:
    return [checked.finding for checked in verify(stages, manifests) if checked.finding]


def test_an_intact_run_has_no_findings_and_every_byte_was_hashed(small: Built) -> None:
    manifests = small.plan.manifests()
    checked = list(verify(small.out / "stages", manifests))
    assert not [item.finding for item in checked if item.finding]
    files = [file for m in manifests for unit in m.units for file in unit.files]
    assert len(checked) == len(files) + len(manifests)
    assert sum(item.bytes for item in checked) == sum(file.bytes for file in files)


def test_any_flipped_byte_is_found(small: Built, copied: Path) -> None:
    """One byte in the middle of one file of every stage."""
    manifests = small.plan.manifests()
    for manifest in manifests:
        file = max((f for unit in manifest.units for f in unit.files), key=lambda f: f.bytes)
        path = copied / manifest.stage / file.path
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        (found,) = findings(
            copied, [m for m in manifests if m.stage == manifest.stage] + without_upstream(manifest)
        )
        assert found.where == f"{manifest.stage}/{file.path}" and "sha256 differs" in found.what
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


def without_upstream(manifest: StageManifest) -> list[StageManifest]:
    """Stand-ins, so that only the stage itself is looked at."""
    blank = manifest.model_copy(update={"units": [], "upstream": []})
    counts = manifest.counts.model_copy(update={"records_in": 0, "records_out": 0, "lost": {}})
    return [
        blank.model_copy(update={"stage": name, "counts": counts}) for name in manifest.upstream
    ]


def test_missing_and_shortened_files_are_found(small: Built, copied: Path) -> None:
    manifest = small.manifests["notes.documents"]
    one, other = (unit.files[0] for unit in manifest.units[:2])
    (copied / manifest.stage / one.path).unlink()
    path = copied / manifest.stage / other.path
    path.write_bytes(path.read_bytes()[:-1])
    found = findings(copied, small.plan.manifests())
    assert [(item.where.rpartition("/")[2], item.what) for item in found] == [
        (one.path.rpartition("/")[2], "is missing"),
        (
            other.path.rpartition("/")[2],
            f"has {other.bytes - 1:,} bytes, the manifest says {other.bytes:,}",
        ),
    ]


def test_wrong_sums_and_missing_upstream_are_found(small: Built, copied: Path) -> None:
    manifests = small.plan.manifests()
    place = next(n for n, m in enumerate(manifests) if m.name == "notes.filter")
    good = manifests[place]

    def with_(**changes: object) -> list[Finding]:
        changed = good.model_copy(update=changes)
        return findings(copied, [*manifests[:place], changed, *manifests[place + 1 :]])

    counts = good.counts.model_copy(update={"records_out": 999})
    assert "999 out" in with_(counts=counts)[0].what
    unit = good.units[0].model_copy(update={"rows_out": 3})
    assert with_(units=[unit, *good.units[1:]])[0].what == "its counts do not add up"
    assert with_(units=good.units[1:])[0].what == "its units do not add up to its counts"
    assert "which has no manifest" in findings(copied, manifests[place:])[0].what


def test_what_is_found_damaged_is_rebuilt_as_told(
    small: Built, inputs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(small.out, out, symlinks=True)
    manifest = small.manifests["code.documents"]
    path = out / "stages" / manifest.stage / manifest.units[0].files[0].path
    path.write_bytes(path.read_bytes()[::-1])
    (found,) = findings(out / "stages", small.plan.manifests())
    shutil.rmtree(out / "stages" / found.where.split("/")[0])
    again = built(recipe(inputs), out)
    assert findings(out / "stages", again.plan.manifests()) == []
