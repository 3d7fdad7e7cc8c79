"""What a hostile page costs: itself, with its cause on record, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from corpus_builder.extraction.caps import Caps
from corpus_builder.extraction.watched import Extracted, Limits, WatchedExtractor
from corpus_builder.sources.records import Lost, Page
from corpus_builder.store.errors import EngineError, RecipeError

HOSTILE = (sys.executable, str(Path(__file__).with_name("hostile_child.py")))
LIMITS = Limits(cpu_seconds=0.5, wall_seconds=20.0, memory_bytes=1 << 28)


def page(order: str, number: int = 0) -> Page:
    return Page(
        number, 0, f"https://a.example/{number}", f"id-{number}", "then", None, order.encode()
    )


def run(orders: list[str], limits: Limits = LIMITS) -> list[Extracted | Lost]:
    pages = [page(order, number) for number, order in enumerate(orders)]
    with WatchedExtractor("resiliparse", limits, _command=HOSTILE) as extractor:
        return list(extractor.extract(pages))


def fate(outcome: Extracted | Lost) -> tuple[str, str]:
    return (outcome.cause, outcome.detail) if isinstance(outcome, Lost) else ("ok", outcome.text)


@pytest.mark.parametrize(
    ("order", "cause", "detail"),
    [
        ("spin", "timeout", "more than 0.5 s of CPU time"),
        ("abort", "crashed", "SIGABRT"),
        ("segfault", "crashed", "SIGSEGV"),
        ("kill", "crashed", "SIGKILL"),
        ("exit", "crashed", "exit 3"),
        ("allocate", "out_of_memory", ""),
        ("raise", "extractor_error", "ValueError: <object object at 0x> is no page"),
        ("  ", "no_text", ""),
    ],
)
def test_a_page_that_breaks_the_extractor_costs_itself_only(
    order: str, cause: str, detail: str
) -> None:
    outcomes = run(["before", order, "after"])
    assert [fate(outcome) for outcome in outcomes] == [
        ("ok", "before"),
        (cause, detail),
        ("ok", "after"),
    ]
    assert [(outcome.position, outcome.url) for outcome in outcomes] == [
        (number, f"https://a.example/{number}") for number in range(3)
    ]


def test_a_child_that_waits_for_ever_meets_the_wall_clock() -> None:
    outcomes = run(["sleep", "after"], replace(LIMITS, wall_seconds=1.0))
    assert fate(outcomes[0]) == ("timeout", "no answer in 1 s")
    assert fate(outcomes[1]) == ("ok", "after")


def test_a_page_is_tried_again_first_in_a_fresh_child(tmp_path: Path) -> None:
    order = f"once {tmp_path / 'seen'}"
    assert fate(run([order])[0]) == ("ok", order)


def test_what_a_library_prints_is_no_answer() -> None:
    assert fate(run(["print"])[0]) == ("ok", "print")


def test_text_that_cannot_be_stored_is_cleaned() -> None:
    (outcome,) = run(["surrogate"])
    assert isinstance(outcome, Extracted)
    assert (outcome.text, outcome.title) == ("ab", "")


def test_a_page_carries_its_identity_through() -> None:
    (outcome,) = run(["text"])
    assert outcome == Extracted(
        0, 0, "https://a.example/0", "id-0", "title of https://a.example/0", "2024-01-02", "then",
        "utf-8", "text",
    )  # fmt: skip


def test_caps_are_decided_before_extraction() -> None:
    limits = replace(LIMITS, caps=Caps(bytes=20, depth=3, tags=2, attributes=1))
    orders = ["spin" + " " * 17, "<p><p><p>spin", "<i><b>spin", "<a b c>spin", "fine"]
    assert [fate(outcome)[0] for outcome in run(orders, limits)] == [
        "too_many_bytes",
        "too_many_nodes",
        "too_deep",
        "too_many_attributes",
        "ok",
    ]


def test_big_pages_and_many_small_ones_do_not_fill_the_pipes() -> None:
    orders = ["x" * 3_000_000] * 5 + ["y"] * 500 + ["z" * 3_000_000]
    assert [fate(outcome)[1] for outcome in run(orders)] == orders


def test_pages_are_pulled_one_at_a_time() -> None:
    pulled: list[int] = []

    def pages() -> list[Page]:
        for number in range(3):
            pulled.append(number)
            yield page("text", number)

    with WatchedExtractor("resiliparse", LIMITS, _command=HOSTILE) as extractor:
        next(iter(extractor.extract(pages())))
    assert pulled == [0]


def test_an_unknown_tool_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(RecipeError, match="did you mean 'trafilatura'"):
        WatchedExtractor("trafilatur")


def test_a_child_that_cannot_start_is_an_error_not_lost_pages() -> None:
    command = (sys.executable, "-c", "raise SystemExit(9)")
    with (
        pytest.raises(EngineError, match="exit code"),
        WatchedExtractor("resiliparse", LIMITS, _command=command) as extractor,
    ):
        list(extractor.extract([page("text")]))


def test_the_child_ends_with_the_extractor() -> None:
    with WatchedExtractor("resiliparse", LIMITS, _command=HOSTILE) as extractor:
        list(extractor.extract([page("text")]))
        (child,) = psutil.Process().children()
    assert not child.is_running()


def test_the_child_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_watched import *
        run(["remember {note}"], replace(LIMITS, wall_seconds=600.0))
    """)
    parent = subprocess.Popen([sys.executable, "-c", script])
    while not (note.exists() and note.read_text(encoding="ascii")):
        assert parent.poll() is None
        time.sleep(0.05)
    child = psutil.Process(int(note.read_text(encoding="ascii")))
    parent.kill()
    parent.wait()
    child.wait(timeout=30)
    assert not child.is_running()


def test_it_runs_inside_daemonic_pool_workers() -> None:
    import multiprocess

    with multiprocess.get_context("spawn").Pool(1) as pool:
        outcomes = pool.apply(run, (["one", "abort", "two"],))
    assert [fate(outcome) for outcome in outcomes] == [
        ("ok", "one"),
        ("crashed", "SIGABRT"),
        ("ok", "two"),
    ]


def test_the_parents_environment_is_left_alone() -> None:
    before = dict(os.environ)
    run(["text"])
    assert dict(os.environ) == before
