"""Manifests: valid against the published schema, with sums that close, written once."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError
from spine import Built

from corpus_builder.store.errors import IntegrityError
from corpus_builder.store.manifest import Counts, StageManifest, read_manifest, write_manifest
from corpus_builder.store.records import read_record, record_path

SCHEMA = Path(__file__).parents[2] / "docs" / "manifest.schema.json"


def test_every_manifest_of_a_run_is_valid_against_the_published_schema(small: Built) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    paths = sorted((small.out / "stages").glob("*/manifest.json"))
    assert len(paths) == len(small.plan.stages)
    for path in paths:
        validator.validate(json.loads(path.read_text()))


def test_the_published_schema_is_the_models_and_refuses_what_the_model_refuses(
    small: Built,
) -> None:
    schema = json.loads(SCHEMA.read_text())
    model = StageManifest.model_json_schema()
    assert {key: schema[key] for key in ("properties", "required", "$defs")} == {
        key: model[key] for key in ("properties", "required", "$defs")
    }
    good = next(iter(small.manifests.values())).model_dump(mode="json")
    for bad in ({**good, "extra": 1}, {**good, "fingerprint": "short"}, {**good, "units": None}):
        with pytest.raises(ValidationError):
            StageManifest.model_validate(bad)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)


def test_a_manifest_says_nothing_of_time_host_or_place(small: Built, inputs: Path) -> None:
    for path in (small.out / "stages").glob("*/manifest.json"):
        text = path.read_text()
        assert str(small.out) not in text
        assert str(inputs) not in text
        assert "/root" not in text and "/home" not in text


def test_a_manifest_whose_sums_do_not_close_is_refused(small: Built, tmp_path: Path) -> None:
    good = small.manifests["notes.filter"]
    bad = good.model_copy(update={"counts": Counts(records_in=5, records_out=3, lost={"x": 1})})
    with pytest.raises(IntegrityError, match="5 in, 3 out, 1 lost"):
        write_manifest(tmp_path, bad)
    assert read_manifest(tmp_path) is None


def test_identical_bytes_stay_where_they_are(small: Built, tmp_path: Path) -> None:
    manifest = small.manifests["notes.filter"]
    write_manifest(tmp_path, manifest)
    before = (tmp_path / "manifest.json").stat()
    write_manifest(tmp_path, manifest)
    assert (tmp_path / "manifest.json").stat() == before
    assert read_manifest(tmp_path) == manifest


def test_what_is_no_manifest_or_no_record_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": 1}')
    with pytest.raises(IntegrityError, match=r"manifest\.json: is no manifest: stage: Field"):
        read_manifest(tmp_path)
    record_path(tmp_path, "a").parent.mkdir()
    for content in ('{"unit": "a"}', "[]", '{"files": [{"path": 3}]}'):
        record_path(tmp_path, "a").write_text(content)
        with pytest.raises(IntegrityError, match=r"a\.json: is no record .* remove it and run"):
            read_record(tmp_path, "a")
