"""A name means an explicit path, then the user's own file, then the shipped one."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus_builder import bundled
from corpus_builder.store.errors import RecipeError


def test_a_bare_name_finds_what_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = bundled.find("filters", "gopher")
    assert path.name == "gopher.yaml"
    assert path.is_absolute()


def test_the_users_own_file_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "filters"
    own.mkdir()
    (own / "gopher.yaml").write_text("mine")
    (own / "extra.yml").write_text("mine")
    assert bundled.find("filters", "gopher").read_text() == "mine"
    assert bundled.find("filters", "extra").read_text() == "mine"
    assert {"extra", "gopher", "fineweb"} <= set(bundled.names("filters"))
    assert list(bundled.names("filters")) == sorted(set(bundled.names("filters")))


def test_a_wheel_finds_its_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "corpus_builder"
    shipped = package / "_bundled" / "pipelines"
    shipped.mkdir(parents=True)
    (shipped / "only-here.yaml").write_text("shipped")
    monkeypatch.setattr(bundled, "__file__", str(package / "bundled.py"))
    monkeypatch.chdir(tmp_path)
    assert bundled.find("pipelines", "only-here") == shipped / "only-here.yaml"
    assert bundled.names("pipelines") == ("only-here",)
    assert bundled.names("filters") == ()


def test_a_path_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gopher.yaml").write_text("here")
    assert bundled.find("filters", "gopher.yaml") == Path("gopher.yaml")
    assert bundled.find("filters", str(tmp_path / "gopher.yaml")).read_text() == "here"
    with pytest.raises(RecipeError, match=r"^r\.yaml:3: no file '\./absent\.yaml'$"):
        bundled.find("filters", "./absent.yaml", where="r.yaml:3")


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(RecipeError, match=r"no rule set named 'gofer'.*mean 'gopher'"):
        bundled.find("filters", "gofer")
    with pytest.raises(RecipeError, match="no recipe named"):
        bundled.find("pipelines", "no-such-recipe")


@pytest.mark.parametrize("name", ["", "..", "."])
def test_names_do_not_leave_the_shelf(name: str) -> None:
    with pytest.raises(RecipeError):
        bundled.find("filters", name)
