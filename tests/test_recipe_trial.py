"""What a trial needs of its recipe is refused when the recipe is read, not when all is built."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipes import QUICKSTART, refused

from corpus_builder.recipe import Recipe, load_recipe
from corpus_builder.recipe_files import check_files, check_trial_files
from corpus_builder.recipe_trial import arms_apart, refuse_if_all_apart
from corpus_builder.store.errors import RecipeError

ARMS = "  arms:\n"


def write(folder: Path, old: str = "", new: str = "") -> Path:
    assert QUICKSTART.count(old) == 1 or not old
    path = folder / "r.yaml"
    path.write_text(QUICKSTART.replace(old, new) if old else QUICKSTART)
    return path


def load(folder: Path, *overrides: str) -> Recipe:
    return load_recipe(write(folder), overrides)


def test_too_few_held_out_documents_for_a_trial_are_told_with_the_recipe(tmp_path: Path) -> None:
    path = write(tmp_path, "max_documents: 1k", "max_documents: 1")
    said = refused(path)
    assert "r.yaml:23: heldout.max_documents is 1; a trial needs 2 held-out documents" in said


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (
            "  target: {wep: 1}\n",
            "r.yaml:31: trial.target: there is no corpus and no heldout.texts 'wep'; "
            "allowed: code, web (did you mean 'web'?)",
        ),
        (
            "  tokens: 255\n",
            "r.yaml:31: trial.tokens is 255, less than one sequence of 256; raise it",
        ),
        (
            "  arms:\n    headline: {mix.weights.web: 2}\n",
            "arm name 'headline' means the weighted mean over corpora; rename it",
        ),
        (
            "  arms:\n    other: {mix.tokens: 2M}\n",
            "arm 'other': mix.tokens cannot differ between arms; all arms train on one budget",
        ),
        (
            "  arms:\n    other: {mix.sequence_length: 512}\n",
            "arm 'other': mix.sequence_length cannot differ between arms",
        ),
        (
            "  arms:\n    other: {mix.seed: 1}\n",
            "arm 'other': mix.seed cannot differ between arms; the trial gives each arm the same",
        ),
        (
            "  arms:\n    other: {mix: off}\n",
            "arm 'other': a trial trains on the mix; take mix: off out of the arm",
        ),
    ],
)
def test_what_a_trial_cannot_have(new: str, said: str, tmp_path: Path) -> None:
    assert said in refused(write(tmp_path, ARMS, new if ARMS in new else new + ARMS))


def test_a_file_of_minimal_pairs_must_be_there(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, ARMS, "  pairs: {blimp: no/such.parquet}\n" + ARMS))
    with pytest.raises(RecipeError, match=r"r\.yaml:31: trial\.pairs\.blimp: there is no file"):
        check_trial_files(recipe)


def test_a_finished_run_can_be_looked_at_without_its_pairs(tmp_path: Path) -> None:
    check_files(load_recipe(write(tmp_path, ARMS, "  pairs: {blimp: gone.parquet}\n" + ARMS)))


def test_a_tokenizer_must_be_one_before_anything_is_built(tmp_path: Path) -> None:
    path = tmp_path / "not.json"
    path.write_text('{"a": 1}')
    recipe = load(tmp_path, f"tokenizer.path={path}")
    with pytest.raises(RecipeError, match=r"not\.json: is no tokenizer\.json"):
        check_trial_files(recipe)


def test_an_arm_s_own_files_are_looked_at_with_the_recipe_s(tmp_path: Path) -> None:
    path = tmp_path / "not.json"
    path.write_text("{}")
    arms = f"    bad: {{tokenizer: {{path: {path}}}}}\n"
    with pytest.raises(RecipeError, match=r"not\.json: is no tokenizer\.json"):
        check_trial_files(load_recipe(write(tmp_path, ARMS, ARMS + arms)))
    arms += "    lost: {tokenizer: {path: no.json}}\n"
    trial = "  pairs: {a: gone.parquet}\n" + ARMS + arms
    recipe = load_recipe(write(tmp_path, ARMS, trial), ["tokenizer.path=t.json"])
    with pytest.raises(RecipeError) as caught:
        check_trial_files(recipe)
    for file in ("t.json", "no.json", "gone.parquet"):
        assert f"there is no file '{file}'" in str(caught.value), "all at once"


# --- arms that are left out ----------------------------------------------------------------------


def test_an_arm_can_be_off_and_so_can_all(tmp_path: Path) -> None:
    one = load(tmp_path, "trial.arms.looser=off")
    assert one.trial is not None and [*one.trial.arms] == ["half-code", "no-dedup"]
    none = load(tmp_path, "trial.arms=off")
    assert none.trial is not None and none.trial.arms == {}
    with pytest.raises(RecipeError, match="no arm 'looser'"):
        one.arm("looser")


def test_an_arm_that_is_not_there_cannot_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no arm 'loser' to leave out.*did you mean 'looser'"):
        load(tmp_path, "trial.arms.loser=off")


def test_an_arm_may_be_added_that_switches_something_off(tmp_path: Path) -> None:
    added = load(tmp_path, "trial.arms.more.corpora.web.dedup=off")
    assert added.trial is not None and "more" in added.trial.arms


def test_another_mistake_does_not_make_a_target_unknown(tmp_path: Path) -> None:
    path = write(tmp_path, ARMS, "  target: {own: 1}\n" + ARMS)
    texts = "heldout: {share: 0, texts: {own: {files: x.txt}}}"
    path.write_text(path.read_text().replace("heldout: {share: 2%, max_documents: 1k}", texts))
    message = refused(path)
    assert "heldout.share is 0" in message and "trial.target" not in message


def test_an_empty_mapping_that_changes_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"--set trial\.arms: \{\} is merged .*<name>=off"):
        load(tmp_path, "trial.arms={}")
    assert load(tmp_path, "corpora.web.dedup={}").to_canonical() == load(tmp_path).to_canonical()


# --- arms without a neutral held-out text --------------------------------------------------------


def test_arms_that_change_documents_are_named_unless_a_target_is_declared(tmp_path: Path) -> None:
    assert arms_apart(load(tmp_path)) == {"looser": ("web",)}
    assert arms_apart(load(tmp_path, "trial.target={code: 1}")) == {}
    assert arms_apart(load(tmp_path, "trial=off")) == {}


def test_a_trial_of_such_arms_alone_is_refused(tmp_path: Path) -> None:
    others = ["trial.arms.half-code=off", "trial.arms.no-dedup=off"]
    assert refuse_if_all_apart(load(tmp_path)) == {"looser": ("web",)}
    with pytest.raises(RecipeError, match=r"no arm can be compared: .*declare trial\.target"):
        refuse_if_all_apart(load(tmp_path, *others))
    assert refuse_if_all_apart(load(tmp_path, *others, "trial.target={code: 1}")) == {}
    assert refuse_if_all_apart(load(tmp_path, "trial.arms=off")) == {}
