"""`verify` looks at what a trial is made of: its tables, its runs, the stages of its arms."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from trials import Tried, recipe, tried

from corpus_builder.plan import Plan, make_plan
from corpus_builder.recipe import load_recipe
from corpus_builder.report.verify import Finding
from corpus_builder.report.verify_trial import arm_manifests, verify_all, verify_report
from corpus_builder.runner import unreferenced
from corpus_builder.store.errors import IntegrityError
from corpus_builder.store.former import keep_former
from corpus_builder.trial.runs import read_run


def found(folder: Path) -> list[Finding]:
    return [c.finding for c in verify_report(folder.parent, "trial") if c.finding]


def findings(folder: Path) -> list[str]:
    return [f"{each.where} {each.what}" for each in found(folder)]


@pytest.fixture
def folder(half: Tried, tmp_path: Path) -> Path:
    return Path(shutil.copytree(half.out / "trial", tmp_path / "trial"))


def test_a_sound_trial_has_its_tables_and_those_of_every_run_checked(folder: Path) -> None:
    checked = list(verify_report(folder.parent, "trial"))
    assert [c.finding for c in checked if c.finding] == []
    manifest = json.loads((folder / "manifest.json").read_text())
    assert len(checked) == 5 + 3 * len({run["hash"] for run in manifest["runs"]}) >= 15
    assert sum(c.bytes for c in checked) > 10_000


def test_where_there_is_no_trial_nothing_is_checked(tmp_path: Path) -> None:
    assert list(verify_report(tmp_path, "trial")) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("report.json", '"verdict": "', '"verdict": "much ', "trial/report.json has"),
        ("manifest.json", '"tokens": ', '"tokens": 1', "trial/manifest.json has other content"),
        ("manifest.json", '"runs"', '"walks"', "trial/manifest.json is no manifest: runs"),
        ("manifest.json", "{", "[{", "trial/manifest.json is no JSON"),
    ],
)
def test_a_report_and_its_manifest_must_be_as_they_were_written(
    folder: Path, file: str, old: str, new: str, said: str
) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    assert [finding.startswith(said) for finding in findings(folder)] == [True]


def test_a_record_of_a_run_that_is_none_is_named(folder: Path, half: Tried) -> None:
    for name, content in zip(half.folders, ("[]", "{}", '{"files": [1]}'), strict=False):
        (folder / name / "run.json").write_text(content)
    said = findings(folder)
    assert len(said) == 3 and all(finding.endswith("is no record of a run") for finding in said)


def test_a_run_whose_record_tells_of_another_is_named(folder: Path, half: Tried) -> None:
    path = folder / half.folders[0] / "run.json"
    text = path.read_text()
    assert '"seed": ' in text
    path.write_text(text.replace('"seed": ', '"seed": 1', 1))
    (said,) = findings(folder)
    assert said.endswith("run.json has another identity than the run it is of")


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_tables_that_a_record_no_longer_names_are_missed(
    folder: Path, half: Tried, keep: int
) -> None:
    """Nor is a record believed that was written to fit a table changed since."""
    path = folder / half.folders[0] / "run.json"
    content = json.loads(path.read_text())
    content["files"] = content["files"][:keep]
    if keep == 3:
        content["files"][0]["sha256"] = "0" * 64
    path.write_text(json.dumps(content))
    (said,) = findings(folder)
    assert f"{half.folders[0]}/run.json names other " in said
    if keep < 3:
        with pytest.raises(IntegrityError, match="names other files than curve"):
            read_run(path.parent, SimpleNamespace(identity=content["identity"]))  # type: ignore[arg-type]


def test_a_report_without_its_manifest_is_named(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    (finding,) = found(folder)
    assert finding.where == "trial/report.json" and finding.what.startswith("has no manifest")
    assert finding.do.startswith("run the command that wrote it again")


def test_a_table_or_run_that_is_not_as_claimed_is_named(folder: Path, half: Tried) -> None:
    first, second, third = half.folders[:3]
    (folder / "measurements.parquet").write_bytes(b"short")
    path = folder / first / "documents.parquet"
    path.write_bytes(path.read_bytes()[::-1])
    (folder / second / "run.json").write_text("")
    shutil.rmtree(folder / third)
    said = sorted(findings(folder))
    assert len(said) == 4
    assert said[0].startswith(f"trial, run {third.rpartition('-')[2]} is missing")
    assert said[1] == f"trial/{first}/documents.parquet has other content than the manifest says " \
        "(sha256 differs)"  # fmt: skip
    assert said[2] == f"trial/{second}/run.json is empty"
    assert said[3].startswith("trial/measurements.parquet has 5 bytes")
    advice = {each.where: each.do for each in found(folder)}
    anew = [where for where, do in advice.items() if "from the models there are" in do]
    assert anew == ["trial/measurements.parquet"], "no folder is to be deleted for it"
    assert sum("trained again" in do for do in advice.values()) == 3


def test_a_former_report_is_checked_without_its_models(half: Tried, tmp_path: Path) -> None:
    """They may be gone: `gc` keeps those of the latest report."""
    out = Path(shutil.copytree(half.out, tmp_path / "out", symlinks=True))
    kept = keep_former(out / "trial", {})
    assert kept is not None
    for name in half.folders:
        shutil.rmtree(out / "trial" / name)
    plan = make_plan(load_recipe(out / "recipe.yaml"), out)

    def said() -> list[Finding]:
        every = [c.finding for c in verify_all(plan, []) if c.finding]
        return [each for each in every if "former" in each.where]

    assert said() == []
    (kept / "report.json").write_text("{}")
    (finding,) = said()
    assert finding.where == f"trial/{kept.name}/report.json" and finding.what.startswith("has 2 b")
    assert finding.do.startswith("nothing makes a former report again")


def test_stages_that_an_arm_has_of_its_own_are_checked(documents: Path, tmp_path: Path) -> None:
    arms = {"no-dedup": {"corpora.notes.dedup": "off"}}
    found = tried(recipe(documents, arms, tokens=640), tmp_path)
    plan: Plan = make_plan(load_recipe(tmp_path / "recipe.yaml"), found.out)
    manifests = plan.manifests()
    own, damaged = arm_manifests(plan, {manifest.stage for manifest in manifests})
    assert damaged == []
    assert {"notes.tokens", "notes.guard"} <= {manifest.name for manifest in own}
    assert not [c.finding for c in verify_all(plan, manifests) if c.finding]
    store = next(manifest for manifest in own if manifest.name == "notes.tokens")
    path = tmp_path / "stages" / store.stage / store.units[0].files[0].path
    path.write_bytes(b"")

    def wrong() -> list[Finding]:
        return [c.finding for c in verify_all(plan, manifests) if c.finding]

    (bad,) = wrong()
    assert bad.where.startswith(store.stage) and "has 0 bytes" in bad.what
    manifest = tmp_path / "stages" / store.stage / "manifest.json"
    manifest.write_text("{}")
    (bad,) = wrong()
    assert bad.where == f"{store.stage}/manifest.json" and bad.what.startswith("is no manifest")
    (record,) = (tmp_path / "recipes").glob("*.no-dedup.json")
    for content, what in (("{}", "is no record of a recipe"), ("", "is empty")):
        record.write_text(content)
        (bad,) = wrong()
        assert bad.where == f"recipes/{record.name}" and bad.what == what, "and all else is checked"
        with pytest.raises(IntegrityError, match=what):
            unreferenced(found.out)
