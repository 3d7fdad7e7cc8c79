"""A small synthetic corpus, its recipe, and ways to run it: what the tests of the spine share.

Documents are sentences of common words in a seeded order, so each test knows what it planted. Runs
go through `run_plan` with tasks done in this process (`built`), or through the real command line
(`corpus`) where processes are the point.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from corpus_builder import runner
from corpus_builder.engine.board import Snapshot
from corpus_builder.plan import Plan, Resources, make_plan
from corpus_builder.recipe import load_recipe
from corpus_builder.runner import RunReport, run_plan
from corpus_builder.store.manifest import StageManifest

_ENGLISH = (
    "the of and to that have with be this from they which will their been other were time people "
    "water river garden letter winter summer market village bridge morning evening history music "
    "teacher student question answer machine engine paper window kitchen mountain island harbour "
    "travel weather number picture country language science theory method result measure system"
)
_LATIN = (
    "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut "
    "labore et dolore magna aliqua enim ad minim veniam quis nostrud exercitation ullamco laboris"
)
WORDS, FOREIGN = _ENGLISH.split(), _LATIN.split()
SITE = "https://site.example"
ROOT = str(Path(__file__).parents[1])
Row = dict[str, Any]


def prose(seed: object, sentences: int = 14, words: list[str] = WORDS) -> str:
    """Paragraphs of a few sentences; the same seed gives the same text."""
    dice = random.Random(str(seed))
    lines: list[str] = []
    for number in range(sentences):
        picked = dice.choices(words, k=dice.randint(8, 14))
        sentence = " ".join(picked).capitalize() + "."
        if number % 4:
            lines[-1] += " " + sentence
        else:
            lines.append(sentence)
    return "\n".join(lines)


def nearly(text: str, seed: object, changes: int = 1) -> str:
    """The text with a few of its words replaced: a near-duplicate."""
    dice = random.Random(f"nearly {seed}")
    words = text.split(" ")
    for place in dice.sample(range(len(words)), changes):
        words[place] = "changed"
    return " ".join(words)


def write_jsonl(path: Path, rows: Iterable[Row]) -> Path:
    """Rows as JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def write_parquet(path: Path, rows: list[Row], row_group_size: int = 20) -> Path:
    """Rows as Parquet, in small row groups."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=row_group_size)
    return path


def html(text: str, title: str = "A page") -> str:
    """A page whose main text is `text`, a paragraph a line."""
    body = "".join(f"<p>{line}</p>\n" for line in text.split("\n"))
    return f"<!doctype html><html><head><title>{title}</title></head><body>{body}</body></html>"


def response(url: str, page: str, status: str = "200 OK", kind: str = "text/html") -> bytes:
    """One gzip member with a WARC response record, HTTP header and all."""
    body = page.encode()
    block = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\n"
        f"WARC-Record-ID: <urn:test:{hashlib.md5(url.encode()).hexdigest()}>\r\n"
        f"WARC-Date: 2024-03-01T00:00:00Z\r\nWARC-Target-URI: {url}\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + block + b"\r\n\r\n", mtime=0)


def write_warc(path: Path, members: Iterable[bytes]) -> Path:
    """WARC records, a gzip member each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(members))
    return path


def language_model(path: Path) -> Path:
    """A tiny fastText model that tells `en` (WORDS) from `la` (FOREIGN)."""
    import fasttext

    examples = path.with_suffix(".txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"__label__en {prose(n, 2)}".replace("\n", " ") for n in range(60)]
    lines += [f"__label__la {prose(n, 2, FOREIGN)}".replace("\n", " ") for n in range(60)]
    examples.write_text("\n".join(lines) + "\n")
    model = fasttext.train_supervised(
        str(examples), dim=8, epoch=20, lr=0.5, thread=1, bucket=1000, verbose=0
    )
    model.save_model(str(path))
    return path


# --- the standard input and recipe -------------------------------------------------------------


def notes(count: int = 160, name: str = "note") -> list[Row]:
    """JSONL rows: prose, with an exact copy, near copies, a short one and special-token strings."""
    rows = [
        {"id": f"{name}-{n}", "text": prose(f"{name} {n}"), "url": f"{SITE}/{name}/{n}"}
        for n in range(count)
    ]
    rows[11]["text"] = rows[10]["text"]
    for place in (21, 22):
        rows[place]["text"] = nearly(rows[20]["text"], place)
    rows[30]["text"] = "Too short to keep."
    rows[40]["text"] += " It ends <|endoftext|> like </s> this."
    return rows


def pages(count: int = 40) -> list[bytes]:
    """WARC records: pages, one in Latin, one not found, one not HTML, one empty, a note's copy."""
    records = [
        response(f"{SITE}/page/{n}", html(prose(f"page {n}", 10), f"Page {n}"))
        for n in range(count)
    ]
    records[3] = response(f"{SITE}/latin", html(prose("latin", 12, FOREIGN)))
    records[5] = response(f"{SITE}/gone", html(prose("gone")), status="404 Not Found")
    records[7] = response(f"{SITE}/picture", "no picture", kind="image/png")
    records[9] = response(f"{SITE}/empty", html(""))
    records[13] = response(f"{SITE}/copy", html(prose("note 50"), "A copy of a note"))
    cookie = "We use cookies to make this site better for you."
    records[15] = response(f"{SITE}/cookie", html(prose("page 15", 10) + "\n" + cookie))
    only = "\n".join(f"Line {n} without an end that c4 would keep" for n in range(12))
    records[17] = response(f"{SITE}/endless", html(f"{only} the and of to be that have with"))
    return records


def code(count: int = 90) -> list[Row]:
    """Parquet rows: functions of made-up names."""
    rows = []
    for n in range(count):
        words = prose(f"code {n}", 6).lower().replace(".", "").split()
        lines = [
            f"def {a}_{b}_{n}({c}: int) -> int:\n    return {c} + {n}"
            for a, b, c in zip(words[::3], words[1::3], words[2::3], strict=False)
        ]
        rows.append({"text": "\n\n".join(lines) + "\n", "id": f"code-{n}", "url": f"{SITE}/c/{n}"})
    return rows


def recipe(folder: Path) -> dict[str, Any]:
    """The standard recipe over the standard input in `folder`, as plain values."""
    quality = [{"gopher": {"n_words.min": 30}}]
    return {
        "name": "small",
        "corpora": {
            "web": {
                "source": {"warc": str(folder / "web" / "*.warc.gz"), "split_size": "6KB"},
                "stages": [
                    {"extract": {"tool": "resiliparse"}},
                    {"language": {"keep": ["en"], "model": str(folder / "lid.bin")}},
                    {"filter": quality},
                    {"transform": ["c4-lines"]},
                    {"filter as late": [{"gopher": {"n_words.min": 30}}]},
                    "dedup",
                ],
                "documents": {"columns": ["lang", "n_non_symbol_words"]},
            },
            "notes": {
                "source": {"jsonl": str(folder / "notes" / "*.jsonl"), "split_size": "50KB"},
                "stages": [{"filter": quality}, {"dedup": {"keep": "first"}}],
            },
            "code": {
                "source": {"parquet": str(folder / "code" / "*.parquet"), "split_size": "9KB"},
                "stages": [{"filter": ["code-basic"]}],
            },
        },
        "dedup": {"corpora": ["notes", "web"]},
        "heldout": {"share": "5%", "max_documents": 12},
        "tokenizer": {"train": {"vocab": 300, "max_bytes": "200KB"}},
        "mix": {
            "tokens": 12_000,
            "sequence_length": 64,
            "weights": {"web": 0.3, "notes": 0.5, "code": 0.2},
        },
    }


def lay_inputs(folder: Path) -> Path:
    """Write the standard input under `folder`."""
    members = pages()
    write_warc(folder / "web" / "a.warc.gz", members[:25])
    write_warc(folder / "web" / "b.warc.gz", members[25:])
    write_jsonl(folder / "notes" / "notes.jsonl", notes())
    write_jsonl(folder / "notes" / "more.jsonl", notes(60, "more"))
    write_parquet(folder / "code" / "code.parquet", code())
    language_model(folder / "lid.bin")
    return folder


def notes_recipe(pattern: Path | str, *stages: Any, **blocks: Any) -> dict[str, Any]:
    """A recipe of one JSONL corpus `notes`, for tests of single stages."""
    source = {"jsonl": str(pattern), "split_size": "20KB"}
    return {
        "name": "notes",
        "corpora": {"notes": {"source": source, "stages": [*stages]}},
        **blocks,
    }


def write_recipe(path: Path, content: Mapping[str, Any]) -> Path:
    """A recipe as YAML."""
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False))
    return path


# --- running -----------------------------------------------------------------------------------


class Inline:
    """The engine's interface with tasks done here, in order, by work that was pickled."""

    def __init__(self, folder: Path, workers: int, preload: Sequence[str] = ()) -> None:
        self.workers = workers
        self.launches: list[list[dict[str, Any]]] = []

    def launch(
        self, tasks: list[dict[str, Any]], work: Any, progress: Callable[[Snapshot], None],
        *, processes: int | None = None,
    ) -> list[Any]:  # fmt: skip
        work = pickle.loads(pickle.dumps(work))  # noqa: S301 - our own, as in a worker
        results = [
            work(json.loads(json.dumps(task)), lambda documents, size: None) for task in tasks
        ]
        progress(Snapshot(0, 0, len(tasks)))
        return results

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *_: object) -> None: ...


@dataclass
class Built:
    """A run that has ended."""

    plan: Plan
    report: RunReport

    @property
    def out(self) -> Path:
        return self.plan.out

    @property
    def manifests(self) -> dict[str, StageManifest]:
        return {manifest.name: manifest for manifest in self.plan.manifests()}

    def table(self, stage: str, folder: str = "data") -> pa.Table:
        """All tables of a stage, in the order of its manifest."""
        base = self.out / "stages" / self.manifests[stage].stage
        units = (unit for manifest in [self.manifests[stage]] for unit in manifest.units)
        paths = [base / file.path for unit in units for file in unit.files]
        found = [path for path in paths if path.parent.name == folder and path.suffix == ".parquet"]
        return pa.concat_tables([pq.read_table(path) for path in found])

    def rows(self, stage: str, folder: str = "data") -> list[Row]:
        return self.table(stage, folder).to_pylist()

    def lost(self, stage: str) -> dict[str, int]:
        return self.manifests[stage].counts.lost


def planned(content: Mapping[str, Any], out: Path) -> Plan:
    """The plan of a recipe given as plain values."""
    out.mkdir(parents=True, exist_ok=True)
    return make_plan(load_recipe(write_recipe(out / "recipe.yaml", content)), out)


def built(
    content: Mapping[str, Any] | Plan, out: Path, *, until: str | None = None,
    memory: int = 1 << 30, watcher: Any = None,
) -> Built:  # fmt: skip
    """Run a recipe in this process, through the same plan, schedule, runner and workers."""
    plan = content if isinstance(content, Plan) else planned(content, out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "LocalEngine", Inline)
        report = run_plan(plan, Resources(1, memory), until=until, watcher=watcher)
    return Built(plan, report)


def tree(folder: Path) -> dict[str, str]:
    """Relative path -> hash of every file below a folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def command(*args: object) -> list[str]:
    """The command line as a list, run by this interpreter."""
    return [sys.executable, "-m", "corpus_builder", *map(str, args)]


def environment() -> dict[str, str]:
    """The environment of commands: the checkout first on the path."""
    path = os.pathsep.join(part for part in (ROOT, os.environ.get("PYTHONPATH")) if part)
    return os.environ | {"PYTHONPATH": path}


def corpus(
    *args: object, cwd: Path | None = None, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run `corpus ...` in a process of its own and expect an exit code."""
    done = subprocess.run(
        command(*args), cwd=cwd, env=environment(), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
