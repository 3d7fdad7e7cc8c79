"""The verbs that need no run: what is shipped, copies of it to edit, and the sample."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from corpus_builder import bundled
from corpus_builder.registry import SIGNALS
from corpus_builder.store.errors import SourceError

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(verb: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Run a verb in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return verb


def test_ls_names_everything_a_recipe_can_name_with_a_line_about_it(say: Say) -> None:
    code, said, _ = say("ls", "--json")
    found = json.loads(said)
    assert code == 0
    assert list(found) == [
        "pipelines", "filters", "signals", "transforms", "extractors", "samples",
    ]  # fmt: skip
    assert set(found["pipelines"]) == set(bundled.names("pipelines"))
    assert set(found["filters"]) == set(bundled.names("filters"))
    assert set(found["signals"]) == set(SIGNALS.names)
    assert all(line for entries in found.values() for line in entries.values())
    assert found["pipelines"]["quickstart"].endswith(".")


def test_ls_of_one_kind_shows_that_kind_alone(say: Say) -> None:
    assert set(json.loads(say("ls", "samples", "--json")[1])) == {"samples"}
    code, said, _ = say("ls", "filters")
    assert code == 0
    assert said.startswith("filters\n")
    assert "gopher-repetition" in said
    assert "pipelines" not in said


def test_new_copies_a_recipe_or_a_rule_set_where_it_is_found(say: Say, tmp_path: Path) -> None:
    code, said, _ = say("new", "quickstart")
    assert code == 0
    assert said.startswith("quickstart.yaml is yours to edit")
    shipped = bundled.find("pipelines", "quickstart")
    assert (tmp_path / "quickstart.yaml").read_bytes() == shipped.read_bytes()
    assert say("new", "gopher")[0] == 0
    assert say("new", "web", "deep/er/mine.yaml")[0] == 0
    assert (tmp_path / "deep" / "er" / "mine.yaml").is_file()
    own = tmp_path / "filters" / "gopher.yaml"
    own.write_text(own.read_text().replace("max: 100000", "max: 7"))
    said = say("check", "quickstart.yaml", "--json")[1]
    assert ": 7" in said, "a rule set of one's own goes before the shipped one"


def test_new_overwrites_nothing_and_knows_the_nearest_name(say: Say, tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").write_text("mine")
    code, _, error = say("new", "quickstart")
    assert code == 2
    assert "exists already" in error
    assert (tmp_path / "quickstart.yaml").read_text() == "mine"
    code, _, error = say("new", "gophr")
    assert code == 2
    assert "did you mean 'gopher'" in error


def test_sample_fetches_once_or_builds_from_a_folder_and_says_what_it_holds(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    place = "corpus_builder.sources.sample."
    monkeypatch.setattr(place + "ensure_sample", lambda progress: calls.append("fetched"))
    monkeypatch.setattr(place + "build_from", lambda folder, progress: calls.append(folder))
    monkeypatch.setattr(place + "describe", lambda: "779 pages")
    monkeypatch.setattr(
        "corpus_builder.signals.language.default_model", lambda: calls.append("lid")
    )
    assert say("sample") == (0, "779 pages\n", "")
    (tmp_path / "pinned").mkdir()
    assert say("sample", "--from", tmp_path / "pinned") == (0, "779 pages\n", "")
    assert calls == ["fetched", "lid", tmp_path / "pinned", "lid"]
    assert say("sample", "--from", tmp_path / "nowhere")[0] == 2

    def offline(progress: object) -> None:
        raise SourceError("sample", "cannot be fetched", do="corpus sample --from DIR")

    monkeypatch.setattr(place + "ensure_sample", offline)
    code, _, error = say("sample")
    assert code == 3
    assert "corpus sample --from DIR" in error
