"""The documentation is true: pages are what the code says, examples are valid, names exist."""

from __future__ import annotations

import builtins
import dataclasses
import inspect
import re
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import jsonschema
import pytest
import yaml
from manual import (
    PAGES,
    ROOT,
    Block,
    Table,
    anchors,
    blocks,
    code,
    links,
    marks,
    name_of,
    read,
    resolve,
    tables,
)
from pydantic import TypeAdapter

import corpus_builder
from corpus_builder import pins, yamlfile
from corpus_builder.cli.main import EXIT_CODES, VERBS
from corpus_builder.recipe import load_recipe
from corpus_builder.rulesets import load_rule_set, parse_rule_set
from corpus_builder.sources import jsonl, parquet, warc
from corpus_builder.sources.sample import NEEDED
from corpus_builder.store import errors

TABLES = [table for page in PAGES for table in tables(page)]
YAML_BLOCKS = [block for page in PAGES for block in blocks(page, "yaml")]


def of_kind(kind: str) -> list[Any]:
    """Parameters: the marked tables of a kind."""
    found = [pytest.param(table, id=table.where) for table in TABLES if table.kind == kind]
    assert found, f"no table is marked {kind!r}"
    return found


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """`docs/generate.py`."""
    spec = spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- generated pages ---------------------------------------------------------------------------


def test_generated_pages_are_what_the_code_says(generator: ModuleType) -> None:
    assert generator.stale() == [], "run `python docs/generate.py`"


def test_a_page_that_differs_is_named(generator: ModuleType, tmp_path: Path) -> None:
    for name, make in generator.PAGES.items():
        (tmp_path / name).write_text(make(), "utf-8")
    assert generator.stale(tmp_path) == []
    (tmp_path / "cli.md").write_text("old", "utf-8")
    (tmp_path / "signals.md").unlink()
    assert generator.stale(tmp_path) == ["cli.md", "signals.md"]


def test_every_verb_rule_and_signal_has_its_place(generator: ModuleType) -> None:
    assert [f"## corpus {verb}" in generator.cli_page() for verb in VERBS] == [True] * len(VERBS)
    page = generator.filters_page()
    for path in (ROOT / "filters").glob("*.yaml"):
        for rule in load_rule_set(str(path)).rules:
            assert f"| `{rule.name.partition('.')[2]}` | `{rule.keep}` |" in page


def test_the_published_schema_accepts_manifests_and_refuses_others(generator: ModuleType) -> None:
    schema = yaml.safe_load(generator.manifest_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    manifest = {
        "format": 1, "stage": "web.read-00000000", "name": "web.read", "corpus": "web",
        "fingerprint": "0" * 64, "identity": {}, "upstream": [], "versions": {}, "facts": {},
        "counts": {"records_in": 3, "records_out": 2, "lost": {"text_empty": 1}}, "units": [],
    }  # fmt: skip
    assert validator.is_valid(manifest)
    assert not validator.is_valid(manifest | {"took_seconds": 3})
    assert not validator.is_valid(manifest | {"fingerprint": "short"})


# --- YAML ----------------------------------------------------------------------------------------


def _as_recipe(block: Block) -> dict[str, Any]:
    """A whole recipe of a block that is part of one."""
    part = yamlfile.parse(block.text, block.where).plain()
    stages: list[Any] = [{"extract": {"tool": "resiliparse"}}]
    web: dict[str, Any] = {"source": {"warc": "a.warc.gz"}, "stages": stages}
    base: dict[str, Any] = {"name": "fragment", "corpora": {"web": web}}
    match block.mark:
        case "fragment: recipe":
            stages += [{"filter": ["gopher"]}, "dedup"]
            return base | part
        case "fragment: corpus":
            return base | {"corpora": {"part": part}}
        case "fragment: stages":
            return base | {"corpora": {"web": web | {"stages": part}}}
    raise AssertionError(f"{block.where}: mark it `fragment: recipe`, `corpus` or `stages`")


def _lay_rule_sets(block: Block, folder: Path) -> None:
    """The rule sets on the block's page, where its recipes look for them."""
    folder.mkdir()
    for other in YAML_BLOCKS:
        same_page = other.where.partition(":")[0] == block.where.partition(":")[0]
        keys = yamlfile.parse(other.text, other.where).mapping or {}
        if same_page and "cite" in keys:
            (folder / f"{keys['name'].value}.yaml").write_text(other.text, "utf-8")


@pytest.mark.parametrize("block", YAML_BLOCKS, ids=lambda block: block.where)
def test_yaml_blocks_are_valid(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = yamlfile.parse(block.text, block.where)
    keys = tree.mapping or {}
    if "cite" in keys:
        rule_set = parse_rule_set(tree, str(keys["name"].value))
        kind, _, names = block.mark.partition(":")
        scores = names.split() if kind == "scores" else []
        kinds = resolve("corpus_builder.registry.signal_kinds")() | dict.fromkeys(scores, "number")
        for rule in rule_set.rules:
            rule.check(kinds)
        return
    _lay_rule_sets(block, tmp_path / "filters")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "block.yaml"
    whole = "corpora" in keys and "name" in keys
    path.write_text(block.text if whole else yaml.safe_dump(_as_recipe(block)), "utf-8")
    load_recipe(path)


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("*.yaml")), ids=lambda p: p.name)
def test_shipped_recipes_are_valid_and_open_with_purpose_cost_and_command(path: Path) -> None:
    assert load_recipe(path).name == path.stem
    head = path.read_text("utf-8").split("\nname:")[0]
    assert re.match(r"# \S.*\.\n#\n# Cost: ", head)
    assert re.search(rf"^# Run:     corpus run {path.stem}\b", head, re.M)


@pytest.mark.parametrize("path", sorted((ROOT / "filters").glob("*.yaml")), ids=lambda p: p.name)
def test_shipped_rule_sets_are_valid(path: Path) -> None:
    kinds = resolve("corpus_builder.registry.signal_kinds")()
    for rule in load_rule_set(str(path)).rules:
        rule.check(kinds)


# --- tables --------------------------------------------------------------------------------------


def _first(row: list[str]) -> str:
    return code(row[0])[0]


@pytest.mark.parametrize("table", of_kind("keys"))
def test_tables_of_keys_are_the_models(table: Table) -> None:
    """Same keys, same order, same defaults (read with the units that recipes take)."""
    path, _, only = table.subject.partition(" only ")
    fields = resolve(path).model_fields
    names = only.split() or list(fields)
    assert [_first(row) for row in table.rows] == names
    for (_, _, default, _), name in zip(table.rows, names, strict=True):
        field = fields[name]
        if default == "required":
            assert field.is_required(), name
            continue
        assert not field.is_required(), name
        shown = None if default == "none" else yamlfile.parse(code(default)[0], name).plain()
        kind: Any = Annotated[(field.annotation, "in a recipe", *field.metadata)]
        assert TypeAdapter(kind).validate_python(shown) == field.default, name


@pytest.mark.parametrize("table", of_kind("options"))
def test_tables_of_options_are_the_dataclasses(table: Table) -> None:
    fields = {field.name: field.default for field in dataclasses.fields(resolve(table.subject))}
    shown = {_first(row): yamlfile.parse(code(row[2])[0], "default").plain() for row in table.rows}
    assert shown == fields


@pytest.mark.parametrize("table", of_kind("names"))
def test_tables_of_names_are_complete(table: Table) -> None:
    assert [_first(row) for row in table.rows] == list(resolve(table.subject))


@pytest.mark.parametrize("table", of_kind("schema"))
def test_tables_of_columns_are_the_schemas(table: Table) -> None:
    schema = resolve(table.subject)
    shown = [(_first(row), row[1]) for row in table.rows]
    assert shown == [(field.name, str(field.type)) for field in schema]


@pytest.mark.parametrize("table", of_kind("causes"))
def test_causes_of_loss_are_those_of_the_code(table: Table) -> None:
    shown = {cause for row in table.rows for cause in code(row[1])}
    folders = [ROOT / "corpus_builder" / name for name in ("sources", "extraction", "stages")]
    source = "".join(read(path) for folder in folders for path in folder.glob("*.py"))
    assert [cause for cause in sorted(shown) if f'"{cause}"' not in source] == []
    stated = set()
    for module in (warc, jsonl, parquet):
        text = (inspect.getdoc(module) or "").partition("Causes of `Lost`:")[2]
        stated |= set(code(" ".join(text.partition("Causes of `Skipped`")[0].split())))
    assert stated <= shown


@pytest.mark.parametrize("table", of_kind("dependencies"))
def test_every_dependency_has_its_reason(table: Table) -> None:
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    names = [re.split(r"[<>=!~\[; ]", entry)[0] for entry in project["dependencies"]]
    assert [_first(row) for row in table.rows] == sorted(names)
    assert [_first(row) for row in table.rows if len(row[1]) < 5] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_mark_stands_above_a_block_or_table(page: Path) -> None:
    used = {f"{table.kind}: {table.subject}".removesuffix(": ") for table in tables(page)}
    used |= {block.mark for block in blocks(page, "yaml", "text")}
    loose = [mark for mark in marks(page) if not mark.startswith("Generated by ")]
    assert [mark for mark in loose if mark not in used] == []


# --- links, names, figures -----------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_links_every_page() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(ROOT / "README.md")}
    assert [name_of(page) for page in PAGES[1:] if page not in linked] == []


FOREIGN = re.compile(
    r"(?<![\w.~])/(?:work|root|home|Users|tmp|mnt)/"  # a path of one machine
    r"|\bpyp[i]\b|hosted\.org|artifactory|index-url|localhost|\b\d+(?:\.\d+){3}\b",
    re.I,
)


@pytest.mark.parametrize(
    "text", ["at /home/me/", "in /tmp/x", "https://pyp" + "i.org/x", "10.0.0.1", "--index-url"]
)
def test_what_is_foreign_is_seen(text: str) -> None:
    assert FOREIGN.search(text)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "docs" / "generate.py"], ids=name_of)
def test_pages_name_no_machine_and_no_package_host(page: Path) -> None:
    assert FOREIGN.findall(read(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_error_classes_named_exist(page: Path) -> None:
    named = set(re.findall(r"\b[A-Z][A-Za-z]+Error\b", read(page)))
    assert named <= {*corpus_builder.__all__, *dir(builtins)}


def test_exit_codes_are_those_of_the_classes() -> None:
    kinds = [kind for name, kind in vars(errors).items() if name.endswith("Error")]
    listed = {int(part) for part in re.findall(r"(?<![\w.])(\d+) [a-z]", EXIT_CODES)}
    assert {kind.exit_code for kind in kinds} | {0, 130} == listed
    page = read(ROOT / "docs" / "cli.md")
    for kind in kinds:
        if kind is not errors.CorpusError:
            assert re.search(rf"^\| {kind.exit_code} \| .* \| `{kind.__name__}` \|$", page, re.M)


def test_the_size_of_the_sample_is_what_the_pins_say() -> None:
    size = f"{sum(pin.size for pin in NEEDED) / 1e6:.0f} MB"
    for page in (ROOT / "README.md", ROOT / "docs" / "quickstart.md"):
        assert size in read(page)
    assert {pin.is_wheel for pin in pins.SAMPLE} == {False}


def test_figures_have_a_script() -> None:
    page = read(ROOT / "docs" / "performance.md")
    scripts = re.findall(r"tests/bench/\w+\.py", page)
    assert scripts
    assert [script for script in scripts if not (ROOT / script).is_file()] == []
    rows = [line for line in page.splitlines() if re.search(r"\| [\d.,]+ \|$", line)]
    assert [row for row in rows if not re.search(r"`python tests/bench|\| the same", row)] == []


def test_the_readmes_funnel_closes() -> None:
    """Out of a stage is in of the next, and the losses shown never exceed what went."""
    (block,) = [part for part in blocks(ROOT / "README.md", "text") if "funnel" in part.mark]
    rows = re.findall(r"^([a-z-]+) +([\d,]+) +([\d,]+) +[\d.]+%", block.text, re.M)
    before: dict[str, int] = {}
    assert len(rows) > 5
    for stage, entered, left in rows:
        first = stage in ("extract", "read")
        assert first or int(entered.replace(",", "")) == before["out"]
        before["out"] = int(left.replace(",", ""))
        assert before["out"] <= int(entered.replace(",", ""))
