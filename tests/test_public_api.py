"""The public interface: its names, its signatures, and that it does what the module says."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path

import pytest
import spine
from spine import Built

import corpus_builder as cb
from corpus_builder import runner
from corpus_builder.cli import main

NAMES = [
    "CorpusError", "DataError", "EngineError", "IntegrityError", "LockedError", "Plan", "Recipe",
    "RecipeError", "SourceError", "load",
]  # fmt: skip
SIGNATURES = {
    "load": "(recipe: 'str | Path', set: 'Mapping[str, Any] | None' = None) -> 'Recipe'",
    "Recipe.plan": "(self, out: 'str | Path | None' = None) -> 'Plan'",
    "Plan.run": "(self, *, workers: 'int | None' = None, memory: 'int | None' = None, "
    "until: 'str | None' = None) -> 'RunReport'",
    "Plan.trial": "(self, *, budget: 'float | None' = None, self_test: 'bool' = False, "
    "lr_check: 'bool' = False, until_decided: 'bool' = False, workers: 'int | None' = None, "
    "memory: 'int | None' = None) -> 'TrialReport'",
    "Plan.manifests": "(self) -> 'list[StageManifest]'",
    "Plan.funnel": "(self) -> 'dict[str, list[Row]]'",
    "Plan.documents": "(self, corpus: 'str') -> 'Iterable[Path]'",
    "Plan.export": "(self, to: 'str', *, what: 'str | None' = None, "
    "target: 'str | Path | None' = None) -> 'ExportReport'",
    "Plan.verify": "(self) -> 'list[Finding]'",
}
PROPERTIES = {"Recipe": {"name"}, "Plan": {"stages", "mix"}}


def test_the_names_are_pinned() -> None:
    assert sorted(cb.__all__) == NAMES
    for name in NAMES:
        assert getattr(cb, name).__module__.startswith("corpus_builder.")
    with pytest.raises(AttributeError, match="has no attribute 'Pipeline'"):
        cb.Pipeline  # noqa: B018


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_pinned(name: str) -> None:
    found = cb
    for part in name.split("."):
        found = getattr(found, part)
    assert str(inspect.signature(found)) == SIGNATURES[name]


@pytest.mark.parametrize("name", PROPERTIES)
def test_classes_have_these_public_parts_and_no_others(name: str) -> None:
    public = {part for part in vars(getattr(cb, name)) if not part.startswith("_")}
    methods = {full.partition(".")[2] for full in SIGNATURES if full.startswith(f"{name}.")}
    assert public - {"definition"} == PROPERTIES[name] | methods


def test_every_public_part_says_what_it_does() -> None:
    for name in NAMES:
        thing = getattr(cb, name)
        assert inspect.getdoc(thing)
        if inspect.isclass(thing) and not issubclass(thing, Exception):
            for part, value in vars(thing).items():
                assert part.startswith("_") or part == "definition" or inspect.getdoc(value), part


@pytest.mark.parametrize(
    ("name", "code"),
    [("RecipeError", 2), ("SourceError", 3), ("DataError", 4), ("IntegrityError", 5),
     ("EngineError", 6), ("LockedError", 7), ("CorpusError", 1)],
)  # fmt: skip
def test_errors_have_the_exit_codes_of_the_command_line(name: str, code: int) -> None:
    error = getattr(cb, name)("here", "wrong", allowed="right", do="mend it")
    assert isinstance(error, cb.CorpusError) and error.exit_code == code
    assert str(error) == "here: wrong; right; mend it"


def test_errors_keep_their_parts_across_processes() -> None:
    import pickle

    error = cb.DataError("here", "wrong", allowed="right", do="mend it")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(again), again.where, again.what, again.allowed, again.do) == (
        cb.DataError, "here", "wrong", "right", "mend it",
    )  # fmt: skip


def test_a_recipe_is_loaded_planned_run_and_looked_at(
    inputs: Path, small: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LocalEngine", spine.Inline)
    path = spine.write_recipe(tmp_path / "r.yaml", spine.recipe(inputs))
    recipe = cb.load(path, set={"corpora.notes.filter.gopher.n_words.min": 30})
    plan = recipe.plan(out=tmp_path / "out")
    assert recipe.name == "small" and list(plan.stages) == list(small.plan.stages)
    report = plan.run(workers=1, memory=1 << 30)
    assert report.done == small.report.done
    assert plan.funnel()["notes"][0].records_in == 220
    assert len(list(plan.documents("notes"))) == len(small.plan.splits["notes"])
    assert (plan.mix / "state.json").is_file() and plan.verify() == []
    assert plan.manifests() == small.plan.manifests()


def test_an_export_is_that_of_the_command_line(
    inputs: Path, small: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(small.out, tmp_path / "out", symlinks=True)
    path = spine.write_recipe(tmp_path / "r.yaml", spine.recipe(inputs))
    plan = cb.load(path).plan(out=tmp_path / "out")
    report = plan.export("olmo", what="documents", target=str(tmp_path / "own"))
    assert report.written
    assert report.target == tmp_path / "own"
    options = ["--to", "olmo", "--what", "documents", "--out", str(tmp_path / "out")]
    main(["export", str(path), *options])
    usual = tmp_path / "out" / "exports" / "olmo-documents"
    assert str(usual) in capsys.readouterr().out
    assert spine.tree(usual) == spine.tree(tmp_path / "own")
    again = plan.export("olmo", what="documents")
    assert (again.target, again.written) == (usual, False), "the same place by default"
    assert plan.export("hf").target.name == "hf-mix", "what the format holds by default"


def test_an_export_that_cannot_be_is_refused_as_on_the_command_line(
    inputs: Path, tmp_path: Path
) -> None:
    plan = cb.load(spine.write_recipe(tmp_path / "r.yaml", spine.recipe(inputs))).plan(tmp_path)
    with pytest.raises(cb.RecipeError, match="did you mean 'olmo'"):
        plan.export("olmoo")
    with pytest.raises(cb.RecipeError, match="nanogpt does not hold 'text'"):
        plan.export("nanogpt", what="text")
    with pytest.raises(cb.DataError, match="is not built yet"):
        plan.export("hf")
    assert not (tmp_path / "exports").exists()


def test_settings_of_a_load_are_those_of_set(inputs: Path, tmp_path: Path) -> None:
    path = spine.write_recipe(tmp_path / "r.yaml", spine.recipe(inputs))
    assert cb.load(path, set={"mix.seed": 7}).definition.mix.seed == 7
    with pytest.raises(cb.RecipeError, match="mix"):
        cb.load(path, set={"mix.sede": 7})


def test_the_default_folder_is_runs_and_the_name(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = spine.write_recipe(tmp_path / "r.yaml", spine.recipe(inputs))
    assert cb.load(path).plan().definition.out == Path("runs/small")
