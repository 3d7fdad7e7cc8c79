"""What a reader is told before using verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest
from trials import recipe, tried

from corpus_builder.trial.cautions import repetition


def test_a_corpus_that_an_arm_alone_repeats_is_named_though_it_repeats_another_more(
    documents: Path, tmp_path: Path
) -> None:
    content = recipe(documents, {"more-code": {"mix.weights": {"notes": 0.6, "code": 0.4}}})
    content["mix"] |= {
        "tokens": 200_000, "weights": {"notes": 0.95, "code": 0.05}, "max_epochs": 1000,
    }  # fmt: skip
    warnings = [line for line in tried(content, tmp_path).report.warnings if "is read" in line]
    assert ["corpus 'notes'" in line for line in warnings] == [True, False]
    assert warnings[1].startswith("arm 'more-code': ") and "corpus 'code'" in warnings[1]


@pytest.mark.parametrize(
    ("longer", "here", "there", "said"),
    [
        (4000.0, 0.024, 98.4, ("4,000", "0.024", "98")),
        (13.42, 0.15, 2.04, ("13.4", "0.15", "2")),
        (1e6, 1.5, 1_500_000.0, ("1,000,000", "1.5", "1,500,000")),
    ],
)
def test_large_ratios_are_whole_numbers(
    longer: float, here: float, there: float, said: tuple[str, str, str]
) -> None:
    assert repetition(longer, "a", here, there).startswith(
        f"the mix is {said[0]} times as long as a run: corpus 'a' is read {said[1]} times here, "
        f"{said[2]} times there; "
    )
