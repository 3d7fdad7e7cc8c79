"""The command line of trials where nothing needs to train: times, and the report on the screen."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from corpus_builder.cli.trial import Duration, _margin, look_text
from corpus_builder.cli.trial_report import (
    _comparisons,
    _needed,
    _scores,
    _self_tests,
    _slower,
    print_report,
)
from corpus_builder.train.statistics.comparison import SeedsNeeded
from corpus_builder.trial.looks import Looked
from corpus_builder.trial.scores import Score

Say = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    "text", ["0s", "-5m", "nanm", "infh", "-infs", "1e400s", "1e308h", "5", ""]
)
@pytest.mark.parametrize("name", ["trial", "optimise"])
def test_a_budget_is_a_finite_time_above_0(verb: Say, name: str, text: str) -> None:
    code, _, said = verb(name, "recipe.yaml", f"--budget={text}")
    assert code == 2
    words = " ".join(said.split())
    assert "Invalid value for '--budget'" in words
    assert f"{text!r} is not a time; allowed: a number above 0 with s, m or h, such as 5m" in words


def test_a_time_is_seconds() -> None:
    found = [Duration().convert(text, None, None) for text in ("90s", "0.5m", " 2h", 7.0)]
    assert found == [90, 30, 7200, 7]


@pytest.mark.parametrize("void", [(), ("the base was called better than itself",)])
def test_a_void_report_says_so_first(void: tuple[str, ...]) -> None:
    test: Any = SimpleNamespace(passed=not void, reason="as it is", false_alarm=0.05)
    series: Any = SimpleNamespace(damage=(0.0,), means=(1.0,), smallest_seen=None, test=test)
    score: Any = SimpleNamespace(value=1.0, high=1.1, seeds=3)
    report: Any = SimpleNamespace(
        prospect=SimpleNamespace(looks=[1], seeds=3, margin=0.02), apart={"arm": ["notes"]},
        warnings=["beware"], void=void, scores={"base": {"notes": score}}, verdicts={},
        headline={}, pairs={},
        arms=["base"], target_declared=True, settings=SimpleNamespace(tokens=1),
        self_tests=SimpleNamespace(aa=test, series=series, void=void),
    )  # fmt: skip
    screen = Console(file=StringIO(), width=200)
    print_report(screen, report, Path("trial"))
    lines = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    says = [line.startswith("The report is void") for line in lines]
    assert says == [bool(void)] + [False] * (len(lines) - 1)
    assert len(lines) > 4


def test_arms_of_fewer_seeds_than_the_base_say_so() -> None:
    """One that was decided early; its difference is to the base's first seeds."""
    for seeds, shown in ((3, True), (6, False)):
        scores = {
            "base": {"notes": Score(2.0, 1.9, 2.1, 6)},
            "arm": {"notes": Score(2, 1, 3, seeds)},
        }
        screen = Console(file=StringIO(), width=100)
        report: Any = SimpleNamespace(scores=scores)
        screen.print(_scores(report))
        said = screen.file.getvalue()  # type: ignore[attr-defined]
        assert ("seeds" in said) == shown


def test_where_room_is_short_verdicts_wrap_and_numbers_do_not() -> None:
    needed = SeedsNeeded(22, 15, True)
    found: Any = SimpleNamespace(
        interval=(-0.0559, 0.0143), difference=-0.0208, p_holm=0.000284, verdict="cannot tell",
        identical=False, within_margin=False, needed=needed,
    )  # fmt: skip
    report: Any = SimpleNamespace(
        arms=["base", "a-long-name"], of_arm=lambda arm: {"headline": found}
    )
    screen = Console(file=StringIO(), width=80)
    screen.print(_comparisons(report))
    said = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "a-long-name  headline     -0.0208  -0.0559 to +0.0143  0.000284  cannot tell" in said
    assert max(map(len, said.splitlines())) <= 80


def test_an_interval_that_is_cut_off_at_0_ends_at_0_alone() -> None:
    cut: Any = SimpleNamespace(
        interval=(-0.3518, 0.0), difference=-0.171, p_holm=0.0146, verdict="better",
        identical=False, within_margin=False, needed=None,
    )  # fmt: skip
    near: Any = SimpleNamespace(**{**vars(cut), "interval": (-0.3518, -0.00001)})
    report: Any = SimpleNamespace(
        arms=["base", "arm"], of_arm=lambda arm: {"code": cut, "headline": near}
    )
    screen = Console(file=StringIO(), width=100)
    screen.print(_comparisons(report))
    said = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "-0.3518 to 0 " in said
    assert "-0.3518 to -0.0000 " in said


@pytest.mark.parametrize(
    ("resolvable", "said"),
    [
        (0.0242, "which 12 seeds could resolve"),
        (0.0252, "12 seeds could resolve 0.026, so"),
        (0.0768, "12 seeds could resolve 0.077, so"),
    ],
)
def test_what_seeds_resolve_never_looks_like_a_margin_that_it_exceeds(
    resolvable: float, said: str
) -> None:
    prospect: Any = SimpleNamespace(
        margin=0.025, margin_declared=False, resolvable=resolvable, design=SimpleNamespace(seeds=12)
    )
    assert said in _margin(prospect)


@pytest.mark.parametrize(
    ("seen", "equal", "possible", "said"),
    [
        (5, 6, True, " (seeds needed: 5 if as seen, 6 if equal)"),
        (None, 1_200, True, " (seeds needed: 1,200 if equal)"),
        (8, None, True, " (seeds needed: 8 if as seen)"),
        (None, None, True, " (more seeds may do)"),
        (None, None, False, " (needs more documents, not seeds)"),
    ],
)
def test_where_it_cannot_tell_it_says_what_it_would_take(
    seen: int | None, equal: int | None, possible: bool, said: str
) -> None:
    needed = SeedsNeeded(seen, equal, possible)
    found: Any = SimpleNamespace(identical=False, within_margin=False, needed=needed)
    assert _needed(found) == said


def test_a_look_says_what_became_of_each_arm_and_what_follows() -> None:
    def arm(verdict: str, *, undecided: bool = False) -> Any:
        return SimpleNamespace(headline=SimpleNamespace(verdict=verdict), undecided=undecided)

    found = {"a": arm("worse"), "b": arm("cannot tell"), "c": arm("cannot tell", undecided=True)}
    said = look_text(Looked(3, found, 6, 4, 40.0))
    assert said == (
        "[bold]look[/]     by the headline, at 3 seeds: a worse; b for more documents to decide, "
        "not seeds; c undecided · 6 models more, 2 of them trained already, about 40 s"
    )
    assert look_text(Looked(3, found, 6, 0, 0.0)).endswith("all of them trained already")
    assert look_text(Looked(3, found, 0, 0, 0.0)).endswith("the budget has no room for more")
    assert look_text(Looked(6, {"a": found["a"]}, 0, 0, 0.0)).endswith("a worse · no arm goes on")


@pytest.mark.parametrize(
    ("usual", "there", "holds", "said"),
    [
        ("better", "better", True, "-0.0100: the sign holds"),
        ("better", "worse", False, "-0.0100: [red]the sign turns[/]"),
        ("worse", "cannot tell", None, "-0.0100: too little to tell"),
        ("cannot tell", "better", None, "-0.0100: better there only"),
        ("equivalent", "cannot tell", None, "-0.0100: no sign there either"),
    ],
)
def test_a_sign_that_was_never_shown_neither_holds_nor_turns(
    usual: str, there: str, holds: bool | None, said: str
) -> None:
    found: Any = SimpleNamespace(
        holds=holds, comparison=SimpleNamespace(difference=-0.01, verdict=there)
    )
    head: Any = SimpleNamespace(verdict=usual)
    assert _slower(found, head) == said


@pytest.mark.parametrize(
    ("alarm", "least", "rate", "seen"),
    [
        (0.05, 0.2, " (a sound trial fails in 5% of cases)", "called worse from 20%"),
        (None, None, "", "none called worse"),
    ],
)
def test_self_tests_say_what_they_could_see_and_no_rate_that_is_unknown(
    alarm: float | None, least: float | None, rate: str, seen: str
) -> None:
    test: Any = SimpleNamespace(passed=True, reason="as it is", false_alarm=alarm)
    series: Any = SimpleNamespace(damage=(0, 0.2), means=(1, 2), smallest_seen=least, test=test)
    found: Any = SimpleNamespace(aa=test, series=series)
    first, second = _self_tests(found)
    assert first == f"self-test, A/A: [green]passed[/]: as it is{rate}"
    assert second.endswith(f"as it is (0% 1.000, 20% 2.000 bits per byte; {seen})")
