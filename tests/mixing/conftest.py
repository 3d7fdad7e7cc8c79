"""What tests of allocations share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume

from corpus_builder.store.errors import DataError


@pytest.fixture(scope="session")
def budget_that_fits() -> Callable[[Callable[[int], Any], int], int]:
    """Of an attempt that fails for want of data: the budget its error names, tried and found to
    fit (or to be too small for a weight). Attempts that succeed are no examples."""

    def found(attempt: Callable[[int], Any], budget: int) -> int:
        try:
            attempt(budget)
        except DataError as error:
            named = re.search(r"a budget of ([\d,]+) tokens fits", str(error))
        else:
            named = None
        assume(named)
        fits = int(named[1].replace(",", "")) if named else 0
        assume(fits > 5)
        try:
            attempt(fits)
        except DataError as error:
            assert "rounds to none" in str(error)
        return fits

    return found
