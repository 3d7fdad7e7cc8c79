"""The command line over a small run: what each verb prints, as text and JSON, and its exit code."""

from __future__ import annotations

import errno
import gzip
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spine
from spine import Built

from corpus_builder import runner
from corpus_builder.cli.main import VERBS
from corpus_builder.store.atomic import run_lock

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(verb: Say, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Run a verb, its tasks in this process too."""
    monkeypatch.setattr(runner, "LocalEngine", spine.Inline)
    return verb


@pytest.fixture
def recipe(inputs: Path, tmp_path: Path) -> Path:
    return spine.write_recipe(tmp_path / "recipe.yaml", spine.recipe(inputs))


@pytest.fixture
def out(small: Built, tmp_path: Path) -> Path:
    """A copy of the standard run's folder."""
    shutil.copytree(small.out, tmp_path / "out", symlinks=True)
    return tmp_path / "out"


# --- start -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args", [["--help"], ["-h"], [], ["--version"], ["run", "--help"], ["nonsense"]]
)
def test_help_comes_before_anything_heavy_is_imported(args: list[str]) -> None:
    heavy = (
        "numpy",
        "pyarrow",
        "pydantic",
        "rich",
        "yaml",
        "datatrove",
        "tokenizers",
        "numba",
        "torch",
    )
    script = (
        "import sys\nfrom corpus_builder.cli import main\n"
        f"try:\n    main({args!r})\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=spine.environment(), capture_output=True, text=True
    )
    assert done.stderr.splitlines()[-1] == "[]"
    if args in (["--help"], ["-h"], []):
        assert all(name in done.stdout + done.stderr for name in VERBS)


def test_both_ways_to_start_the_program_work() -> None:
    script = Path(sys.executable).with_name("corpus")
    ways = [[sys.executable, "-m", "corpus_builder", "--version"]]
    ways += [[str(script), "--version"]] if script.exists() else []
    said = {
        subprocess.run(way, env=spine.environment(), capture_output=True, text=True).stdout
        for way in ways
    }
    assert len(said) == 1 and said.pop().startswith("corpus, version ")


def test_an_unknown_verb_is_told_the_nearest(say: Say) -> None:
    code, _, err = say("funel")
    assert code == 2 and "did you mean 'funnel'" in err


# --- check, plan, run --------------------------------------------------------------------------


def test_check_touches_no_data(say: Say, recipe: Path, tmp_path: Path) -> None:
    code, text, _ = say("check", recipe)
    assert code == 0 and "3 corpora" in text
    code, text, _ = say("check", recipe, "--json", "--set", "mix.weights.web=0.4")
    assert json.loads(text)["mix"]["weights"]["web"] == 0.4
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.yaml"}


def test_plan_tells_before_what_run_does(say: Say, recipe: Path, out: Path, small: Built) -> None:
    options = ("--out", out, "--set", "corpora.notes.filter.gopher.n_words.min=150")
    code, text, _ = say("plan", recipe, *options, "--json", "--memory", "2G")
    before = {row["stage"]: (row["done"], row["units"]) for row in json.loads(text)["stages"]}
    assert code == 0 and json.loads(text)["forecast"]["documents"] == 347
    code, text, _ = say("run", recipe, *options, "--json")
    report = json.loads(text)
    assert code == 0
    for name, (done, units) in before.items():
        assert (report["units_done"].get(name, 0) == 0) == (done == units), name
    kept = {name for name, (done, units) in before.items() if done == units}
    assert kept >= {"notes.read", "notes.filter.signals", "web.extract", "web.dedup"}
    code, text, _ = say("plan", recipe, *options)
    assert (
        code == 0 and "nothing to do" in text and "to do" not in text.replace("nothing to do", "")
    )


def test_run_reports_in_json_what_it_did(say: Say, recipe: Path, out: Path, small: Built) -> None:
    code, text, err = say("run", recipe, "--out", out, "--json")
    report = json.loads(text)
    assert (code, err) == (0, "")
    assert report["units_done"] == {}
    assert report["units_reused"]["notes.read"] == len(small.plan.splits["notes"])
    assert report["funnel"]["corpora"]["notes"][0]["records_in"] == 220


def test_run_prints_the_funnel_and_where_products_are(say: Say, recipe: Path, out: Path) -> None:
    code, text, err = say("run", recipe, "--out", out)
    assert code == 0
    for expected in ("0 units done", "documents", "mix", "corpus funnel"):
        assert expected in text
    assert "✓ notes.read-" in err
    assert say("run", recipe, "--out", out, "--quiet") == (0, "", "")


def test_until_stops_early_and_its_typos_are_told(say: Say, recipe: Path, tmp_path: Path) -> None:
    code, text, _ = say("run", recipe, "--out", tmp_path / "o", "--until", "code.filter", "--json")
    assert code == 0 and set(json.loads(text)["units_done"]) == {
        "code.read", "code.filter.signals", "code.filter",
    }  # fmt: skip
    code, _, err = say("run", recipe, "--out", tmp_path / "o", "--until", "code.filtre")
    assert code == 2 and "did you mean 'code.filter'" in err


# --- exit codes --------------------------------------------------------------------------------


def test_exit_codes_are_those_of_the_errors(
    say: Say, recipe: Path, out: Path, inputs: Path, tmp_path: Path
) -> None:
    def code(*args: object) -> int:
        return say(*args)[0]

    assert code("check", "nonexistent") == 2
    assert code("run", recipe, "--set", "mix.tokenz=1") == 2
    missing = spine.recipe(inputs)
    missing["corpora"]["notes"]["source"]["jsonl"] = str(tmp_path / "nothing-*.jsonl")
    path = spine.write_recipe(tmp_path / "missing.yaml", missing)
    assert code("run", path, "--out", tmp_path / "o") == 3
    assert code("funnel", recipe, "--out", tmp_path / "o") == 4
    assert code("run", recipe, "--out", out, "--set", "mix.tokens=9000000") == 4
    with run_lock(out):
        assert code("run", recipe, "--out", out) == 7
        assert code("gc", "--out", out, "--yes") in (0, 7)


def test_a_corpus_too_short_tells_the_shortfall_and_writes_no_mix(
    say: Say, recipe: Path, out: Path
) -> None:
    before = {path.name for path in (out / "stages").iterdir()}
    code, _, err = say("run", recipe, "--out", out, "--set", "mix.tokens=9000000")
    assert code == 4 and "error: " in err and "tokens fits" in err
    assert {path.name for path in (out / "stages").iterdir()} == before
    code, text, _ = say("status", recipe, "--out", out, "--set", "mix.tokens=9000000", "--json")
    assert code == 0 and not json.loads(text)["stages"][-1]["sealed"]


def test_a_full_disk_is_an_error_not_a_traceback(
    say: Say, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full", "out/recipes/recipe.json")

    monkeypatch.setattr(runner, "note_recipe", full)
    code, _, err = say("run", recipe, "--out", tmp_path / "o")
    assert code == 1
    assert err.startswith("error: out/recipes/recipe.json: No space left on device; free some")


WORDS = "description='[red] as it [is]'"
"""Not the screen's own markup."""


def test_what_to_type_next_is_for_this_recipe_and_this_folder(
    say: Say, recipe: Path, out: Path
) -> None:
    path = recipe.with_name("other name.yaml")
    recipe.rename(path)
    code, text, _ = say("run", path, "--out", out, "--set", "mix.max_epochs=4", "--set", WORDS)
    (line,) = [line for line in text.splitlines() if line.startswith("next")]
    commands = [shlex.split(part) for part in line.removeprefix("next").split(" · ")]
    assert code == 0 and [words[1] for words in commands] == ["funnel", "verify", "peek"]
    for words in commands:
        assert WORDS in words
        assert say(*words[1:])[0] == 0


def test_a_corpus_of_which_nothing_could_be_read_is_told_at_once(say: Say, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("no JSON\n" * 3)
    path = spine.write_recipe(tmp_path / "r.yaml", spine.notes_recipe(tmp_path / "*.jsonl"))
    code, _, err = say("run", path, "--out", tmp_path / "o", "--quiet")
    assert code == 4
    assert "corpora.notes.source: none of its 3 records became a document: bad_json 3;" in err
    (tmp_path / "a.jsonl").write_text("\n")
    code, _, err = say("run", path, "--out", tmp_path / "o2", "--quiet")
    assert code == 4 and "became a document: blank_line 1" in err
    (tmp_path / "a.jsonl").write_text("")
    code, _, err = say("run", path, "--out", tmp_path / "o3", "--quiet")
    assert code == 4 and "there is no record in it" in err
    (tmp_path / "b.json").write_text('{"text": "a note"}\n')
    content = spine.notes_recipe(tmp_path / "*.jsonl")
    content["corpora"]["more"] = {"source": {"jsonl": str(tmp_path / "b.json")}}
    spine.write_recipe(path, content)
    assert say("run", path, "--out", tmp_path / "o4", "--quiet")[0] == 0, "one may be empty"


def test_a_corpus_that_the_mix_gives_nothing_may_be_empty(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder whose name could be a URI's, or have a picture in it."""
    monkeypatch.chdir(tmp_path)
    spine.write_jsonl(tmp_path / "a.jsonl", [{"text": spine.prose(n)} for n in range(40)])
    (tmp_path / "b.jsonl").write_text("")
    mix: dict[str, Any] = {
        "tokens": 640, "sequence_length": 64, "max_epochs": 8, "weights": {"a": 1, "b": 0},
    }  # fmt: skip
    content = {
        "name": "two",
        "corpora": {name: {"source": {"jsonl": f"{name}.jsonl"}} for name in "ab"},
        "tokenizer": {"train": {"vocab": 400, "max_bytes": "1MB"}},
        "mix": mix,
    }
    path = spine.write_recipe(tmp_path / "r.yaml", content)
    code, text, _ = say("run", path, "--out", "o:key:")
    assert code == 0 and "o:key:/mix" in text
    mix["weights"]["b"] = 1
    code, _, err = say("run", spine.write_recipe(path, content), "--out", "o:key:", "--quiet")
    assert code == 4 and "corpora.b.source: there is no record in it" in err


def test_input_that_ends_too_soon_is_noted(say: Say, tmp_path: Path) -> None:
    rows = "".join(json.dumps({"text": spine.prose(n)}) + "\n" for n in range(200)).encode()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(rows)[:-2000])
    path = spine.write_recipe(tmp_path / "r.yaml", spine.notes_recipe(tmp_path / "*.gz"))
    code, text, _ = say("run", path, "--out", tmp_path / "o")
    assert code == 0
    assert "files end too soon or are damaged (truncated 1)" in " ".join(text.split())


# --- look --------------------------------------------------------------------------------------


def test_status_counts_units_and_seals(say: Say, recipe: Path, out: Path, small: Built) -> None:
    code, text, _ = say("status", recipe, "--out", out, "--json")
    rows = json.loads(text)["stages"]
    assert code == 0 and all(row["sealed"] and row["done"] == row["units"] for row in rows)
    shutil.rmtree(out / "stages" / small.plan.stages["notes.dedup"].id)
    rows = json.loads(say("status", recipe, "--out", out, "--json")[1])["stages"]
    assert {row["stage"] for row in rows if not row["sealed"]} == {"notes.dedup"}
    below = {row["stage"]: row["done"] for row in rows}
    assert below["notes.filter"] == len(small.plan.splits["notes"])
    assert below["notes.dedup"] == below["notes.guard"] == below["mix"] == 0
    assert f"of {len(rows)} stages sealed" in say("status", recipe, "--out", out)[1]


def test_status_counts_the_models_of_a_trial(say: Say, recipe: Path, out: Path) -> None:
    assert json.loads(say("status", recipe, "--out", out, "--json")[1])["trial"] is None
    for name in ("base-0-aa", "base-1-bb"):
        (out / "trial" / name).mkdir(parents=True)
    (out / "trial" / "base-0-aa" / "run.json").write_text("{}")
    found = json.loads(say("status", recipe, "--out", out, "--json")[1])["trial"]
    assert found == {"models": 1, "report": False}
    assert "trials here: 1 model trained, no report yet" in say("status", recipe, "--out", out)[1]


def test_funnel_shows_rules_when_asked(say: Say, recipe: Path, out: Path) -> None:
    code, text, _ = say("funnel", recipe, "--out", out)
    assert code == 0 and "dropped first" not in text and "n_words 2" in text
    assert "dropped first" in say("funnel", recipe, "--out", out, "--rules")[1]
    content = json.loads(say("funnel", recipe, "--out", out, "--json")[1])
    assert set(content["corpora"]) == {"web", "notes", "code"}


def test_peek_by_cause_url_and_id(say: Say, recipe: Path, out: Path, small: Built) -> None:
    def seen(*args: object) -> list[dict[str, Any]]:
        code, text, err = say("peek", recipe, "--out", out, "--json", *args)
        assert code == 0, err
        return list(json.loads(text))

    assert [item["fate"] for item in seen("--dropped-by", "n_words")] == ["gopher.n_words"] * 2
    assert seen("--dropped-by", "near", "-n", 1)[0]["detail"].startswith("Jaccard 0.")
    assert seen("--doc", "https://site.example/gone")[0]["fate"] == "http_status"
    row = small.rows("code.documents")[0]
    assert seen("--doc", row["doc_id"].hex())[0]["fate"] == "kept"
    assert {item["corpus"] for item in seen("--corpus", "code", "-n", 5)} == {"code"}
    assert len(seen()) == 3
    assert "nothing found" in say("peek", recipe, "--out", out, "--doc", "https://no.where")[1]
    code, _, err = say("peek", recipe, "--out", out, "--number", "-3")
    assert code == 2 and "-3" in err
    code, _, err = say("peek", recipe, "--out", out, "--dropped-by", "n_wrds")
    assert code == 2 and "did you mean" in err
    code, _, err = say("peek", recipe, "--out", out, "--corpus", "nots")
    assert code == 2 and "'notes'" in err


def test_peek_prints_a_beginning_or_the_whole(
    say: Say, recipe: Path, out: Path, small: Built
) -> None:
    row = max(small.rows("notes.documents"), key=lambda row: len(row["text"]))
    assert len(row["text"]) > 600
    options = ("peek", recipe, "--out", out, "--doc", row["doc_id"].hex())
    short, full = say(*options)[1], say(*options, "--full")[1]
    assert short.strip().endswith("…") and len(full) > len(short)
    assert row["text"].split()[-1] in full.split()


def test_mix_shows_where_the_tokens_of_a_sequence_come_from(
    say: Say, recipe: Path, out: Path
) -> None:
    view = json.loads(say("mix", recipe, "--out", out, "--show", 3, "--json")[1])
    assert view["number"] == 3
    assert sum(piece["stop"] - piece["start"] for piece in view["pieces"]) == 64
    code, text, _ = say("mix", recipe, "--out", out, "--show", 3)
    assert code == 0
    assert text.startswith(f"sequence 3  sequence {view['index']:,} of corpus {view['corpus']}")
    assert all(piece["doc_id"] in text.replace("\n", "") for piece in view["pieces"])
    code, _, error = say("mix", recipe, "--out", out, "--show", 100_000)
    assert code == 4
    assert "0 to 186" in error
    assert say("mix", recipe, "--out", out)[0] == 2, "which one?"


def test_plan_fits_workers_into_memory(say: Say, recipe: Path, out: Path) -> None:
    options = ("plan", recipe, "--out", out, "--workers", 64)
    assert "4.0 GB for 5 workers" in say(*options, "--memory", "4G")[1]
    assert "4.0 GB for 1 workers" in say(*options, "--workers", 1, "--memory", "4G")[1]


def test_a_tokenizer_that_is_none_is_refused_before_anything_is_built(
    say: Say, recipe: Path, tmp_path: Path
) -> None:
    (tmp_path / "none.json").write_text("{}")
    own = ("--set", f"tokenizer.path={tmp_path / 'none.json'}")
    for verb in (("check",), ("plan", "--out", tmp_path), ("run", "--out", tmp_path)):
        code, _, said = say(verb[0], recipe, *verb[1:], *own)
        assert code == 2 and "is no tokenizer.json" in said, verb
    assert not (tmp_path / "stages").exists()


def test_verify_exits_with_5_and_names_the_file(
    say: Say, recipe: Path, out: Path, small: Built
) -> None:
    code, text, _ = say("verify", recipe, "--out", out)
    assert code == 0 and text.startswith("all is well")
    manifest = small.manifests["notes.encode"]
    name = manifest.units[0].files[0].path
    path = out / "stages" / manifest.stage / name
    content = bytearray(path.read_bytes())
    content[-9] ^= 16
    path.write_bytes(content)
    code, _, err = say("verify", recipe, "--out", out)
    assert code == 5 and f"{manifest.stage}/{name}" in err
    assert err.rstrip().endswith("→ delete the folders named and run again: they are made anew")
    code, text, _ = say("verify", recipe, "--out", out, "--json")
    assert code == 5 and json.loads(text)["findings"][0]["where"] == f"{manifest.stage}/{name}"


def test_verify_reads_the_accounts_of_a_mix_against_its_records(
    say: Say, recipe: Path, out: Path, small: Built
) -> None:
    folder = out / "stages" / small.manifests["mix"].stage
    manifest, record = folder / "manifest.json", folder / "records" / "dataset" / "dataset.json"
    untouched = manifest.read_text()
    content = json.loads(untouched)
    next(iter(content["facts"]["corpora"].values()))["effective_tokens"] += 1
    manifest.write_text(json.dumps(content))
    code, _, err = say("verify", recipe, "--out", out)
    assert code == 5 and f"{folder.name}: its manifest has other facts than" in err
    manifest.write_text(untouched)
    content = json.loads(record.read_text())
    content["facts"]["stream"] = "0" * 64
    record.write_text(json.dumps(content))
    code, _, err = say("verify", recipe, "--out", out)
    assert code == 5 and f"{folder.name}: the order on record is not that of the mix" in err


def test_buckets_are_set_run_shown_and_verified(say: Say, recipe: Path, out: Path) -> None:
    cut = "{by: n_words, quantiles: [50%], times: [1, 3]}"
    here = [recipe, "--out", out, "--set", f"mix.buckets.notes={cut}"]
    _, said, _ = say("plan", *here, "--json")
    todo = {row["stage"] for row in json.loads(said)["stages"] if row["done"] != row["units"]}
    assert {"notes.buckets", "notes.b0.tokens", "notes.b1.tokens", "mix"} <= todo
    assert "notes.encode" not in todo
    code, said, _ = say("run", *here)
    assert code == 0
    assert "notes in buckets by n_words" in said
    shown = {json.loads(say("mix", *here, "--show", n, "--json")[1])["corpus"] for n in range(20)}
    assert shown == {"web", "code", "notes.b0", "notes.b1"}
    assert say("verify", *here)[0] == 0
    assert say("export", *here, "--to", "olmo", "--what", "documents")[0] == 0
    assert (out / "exports" / "olmo-documents" / "notes.b1" / "part-00000.npy").is_file()
    values = max(out.glob("stages/notes.buckets-*/data/*"), key=lambda path: path.stat().st_size)
    raw = values.read_bytes()
    values.write_bytes(raw[:40] + bytes([raw[40] ^ 1]) + raw[41:])
    code, _, error = say("export", *here, "--to", "parquet", "--what", "text")
    assert code == 5 and f"{values}: is not what its record says" in error
    code, _, error = say("check", recipe, "--set", f"mix.buckets.notes={cut}", "--set",
                         "mix.buckets.notes.times=[1, 2, 3]")  # fmt: skip
    assert code == 2
    assert "mix.buckets.notes: 1 quantiles make 2 buckets, but times has 3 numbers" in error


def test_a_staged_mix_is_shown_by_stage(say: Say, recipe: Path, out: Path) -> None:
    first, last = "{web: 1, notes: 1, code: 0}", "{web: 1, notes: 3, code: 0}"
    steps = f"[{{until: 50%, weights: {first}}}, {{weights: {last}}}]"
    code, said, _ = say("run", recipe, "--out", out, "--set", f"mix.stages={steps}")
    assert code == 0
    head, web, notes = (line.split() for line in said.split("mix ·")[1].splitlines()[1:4])
    assert head[:7] == ["corpus", "weight", "realised", "stage", "1", "stage", "2"]
    # 12,000 tokens are 187 sequences of 64: 93 and 94.
    rows = {row[0]: row[3:5] for row in (web, notes)}
    assert [float(share) for share in rows["web"]] == pytest.approx([0.5, 0.25], abs=0.011)
    assert [float(share) for share in rows["notes"]] == pytest.approx([0.5, 0.75], abs=0.011)


def test_a_corpus_used_up_by_an_early_stage_ends_the_run(say: Say, recipe: Path, out: Path) -> None:
    first, last = "{web: 1, notes: 0, code: 1}", "{web: 0, notes: 1, code: 1}"
    steps = f"[{{until: 90%, weights: {first}}}, {{weights: {last}}}]"
    code, _, error = say(
        "run", recipe, "--out", out, "--set", f"mix.stages={steps}", "--set", "mix.tokens=20k",
        "--set", "mix.on_short=redistribute", "--set", "mix.max_epochs={code: 0.1}",
    )  # fmt: skip
    assert code == 4
    assert "stage 2 weighs code, of which the stages before it leave nothing" in error


def test_gc_says_what_before_it_removes(say: Say, recipe: Path, out: Path) -> None:
    assert "nothing to remove" in say("gc", "--out", out)[1]
    code, _, err = say("gc", "--out", out / "stages")
    assert code != 0 and "is not the folder of a run" in err
    say("run", recipe, "--out", out, "--set", "mix.seed=1", "--quiet")
    assert len(list((out / "stages").glob("mix-*"))) == 2
    code, text, _ = say("gc", "--out", out, "--yes")
    assert code == 0 and "mix-" in text and "freed" in text
    assert len(list((out / "stages").glob("mix-*"))) == 1


def test_gc_asks_first(out: Path, recipe: Path, say: Say) -> None:
    say("run", recipe, "--out", out, "--set", "mix.seed=1", "--quiet")
    done = subprocess.run(
        spine.command("gc", "--out", out), env=spine.environment(), input="n\n", text=True,
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 130 and "remove these" in done.stdout
    assert len(list((out / "stages").glob("mix-*"))) == 2


@pytest.mark.parametrize(("memory", "said"), [("1", "100M or more"), ("many", "is not a size")])
def test_memory_that_is_none_is_refused(
    say: Say, recipe: Path, out: Path, memory: str, said: str
) -> None:
    code, _, err = say("run", recipe, "--out", out, "--memory", memory)
    assert code == 2 and said in err
