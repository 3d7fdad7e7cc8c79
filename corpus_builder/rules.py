"""Rules at work: rule sets asked about batches, what they answered, and who dropped how much.

Invariant: a null is never taken for False; every dropped row keeps the first rule that failed and
the value it saw; and for each rule the rows it dropped first, failed at all and failed alone are
counted. No loop runs over rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import expressions
from .rulesets import OnNull, Rule, RuleSet, load_rule_set, parse_rule_set
from .store.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = [
    "OnNull",
    "Rule",
    "RuleSet",
    "RuleTally",
    "Verdicts",
    "add_tallies",
    "evaluate",
    "load_rule_set",
    "parse_rule_set",
    "tally",
]


@dataclass(frozen=True)
class Verdicts:
    """What rules said of the rows of a batch.

    Attributes:
        rules: names, in order.
        dropped_by: string; the first rule that failed, null where the row is kept.
        value: float64; that rule's first signal as the rule saw it (booleans as 0 and 1), null
            where the row is kept or the signal is null or a string.
        matrix: bool (rules, rows): which rules failed.
    """

    rules: tuple[str, ...]
    dropped_by: pa.StringArray
    value: pa.DoubleArray
    matrix: NDArray[np.bool_]

    @property
    def failed(self) -> pa.FixedSizeBinaryArray:
        """One bit mask a row, ceil(rules / 8) bytes; rule i is bit i % 8 of byte i // 8."""
        import numpy as np
        import pyarrow as pa

        packed = np.packbits(self.matrix.T, axis=1, bitorder="little")
        buffers = [None, pa.py_buffer(packed.tobytes())]
        return pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(packed.shape[1]), packed.shape[0], buffers
        )


def evaluate(rule_sets: Sequence[RuleSet], batch: pa.RecordBatch) -> Verdicts:
    """Ask every rule about every row of a batch that holds the signals the rules read.

    Raises:
        DataError: a rule set with `on_null: error` has no answer for rows that no rule before
            it dropped; names the rule, its null signals and the number of rows.
    """
    import numpy as np
    import pyarrow as pa

    rules = [(rule, part.on_null) for part in rule_sets for rule in part.rules]
    matrix = np.zeros((max(1, len(rules)), len(batch)), dtype=np.bool_)
    alive = np.ones(len(batch), dtype=np.bool_)
    value = np.full(len(batch), np.nan)
    for index, (rule, on_null) in enumerate(rules):
        columns = {name: batch.column(name) for name in rule.signals}
        failed = _failed(rule, on_null, columns, alive)
        matrix[index] = failed
        first = failed & alive
        if first.any():
            value[first] = _numbers(columns[rule.signals[0]], first)
            alive &= ~failed
    names = tuple(rule.name for rule, _ in rules)
    indices = pa.array(matrix.argmax(axis=0), pa.int32(), mask=alive)
    dropped_by = pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string()))
    values = pa.array(value, pa.float64(), mask=np.isnan(value))
    return Verdicts(names, dropped_by.cast(pa.string()), values, matrix[: len(rules)])


def _failed(
    rule: Rule, on_null: OnNull, columns: Mapping[str, pa.Array], alive: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    keep = expressions.evaluate(rule.keep, columns, rule.params)
    if keep.null_count and on_null == "error":
        unknown = keep.is_null().to_numpy(zero_copy_only=False) & alive
        if unknown.any():
            nulls = [name for name, column in columns.items() if column.null_count]
            what = f"no answer for {int(unknown.sum())} of {len(keep)} rows"
            cause = f"null: {', '.join(nulls)}" if nulls else "division by zero or NaN"
            do = "set on_null: drop or keep in the rule set, or filter such rows before"
            raise DataError(f"rule {rule.name}", f"{what} ({cause})", do=do)
    known: NDArray[np.bool_] = keep.fill_null(on_null != "drop").to_numpy(zero_copy_only=False)
    return ~known


def _numbers(column: pa.Array, rows: NDArray[np.bool_]) -> NDArray[np.float64] | float:
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return float("nan")
    chosen = column.filter(pa.array(rows))
    numbers: NDArray[np.float64] = chosen.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return numbers


@dataclass(frozen=True)
class RuleTally:
    """Rows of which a rule was the first to fail, that failed it at all, that failed it alone."""

    first: int = 0
    any: int = 0
    only: int = 0

    def __add__(self, other: RuleTally) -> RuleTally:
        return RuleTally(self.first + other.first, self.any + other.any, self.only + other.only)


def tally(verdicts: Verdicts) -> dict[str, RuleTally]:
    """Count a batch's verdicts by rule, in rule order; `first` adds up to the rows dropped."""
    import numpy as np

    matrix = verdicts.matrix
    failures = matrix.sum(axis=0)
    dropped = matrix[:, failures > 0]
    first = np.bincount(dropped.argmax(axis=0), minlength=len(matrix)) if dropped.size else None
    alone = matrix[:, failures == 1].sum(axis=1)
    return {
        name: RuleTally(
            first=int(first[index]) if first is not None else 0,
            any=int(matrix[index].sum()),
            only=int(alone[index]),
        )
        for index, name in enumerate(verdicts.rules)
    }


def add_tallies(tallies: Iterable[Mapping[str, RuleTally]]) -> dict[str, RuleTally]:
    """Add up tallies of several batches, rule by rule."""
    total: dict[str, RuleTally] = {}
    for part in tallies:
        for name, counts in part.items():
            total[name] = total.get(name, RuleTally()) + counts
    return total
