"""What a signal family is, and the two helpers every family's `compute` ends with.

Invariant: importing a family costs nothing but its declaration; NumPy, Arrow and compiled code
load when `compute` is first called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

DECIMALS = 6


@dataclass(frozen=True)
class Signal:
    """One column. Every signal is defined for every text: a ratio with nothing below is 0.

    Attributes:
        type: Arrow type; float64 is rounded to 6 decimals.
        doc: one line: what it is, its unit, its source.
    """

    name: str
    type: Literal["int64", "float64", "string", "bool"]
    doc: str


@dataclass(frozen=True)
class Family:
    """Signals computed together.

    Attributes:
        version: raised whenever any value could change for any text.
        adds: the columns, in order.
        cite: where the definitions come from.
        compute: large_string array (no nulls) to a record batch of `adds`, row for row.
    """

    name: str
    version: int
    adds: tuple[Signal, ...]
    cite: str
    compute: Callable[[pa.LargeStringArray], pa.RecordBatch]


def ratio(over: NDArray[np.int64], under: NDArray[np.int64]) -> NDArray[np.float64]:
    """`over / under` in float64, and 0 where `under` is 0."""
    import numpy as np

    quotient: NDArray[np.float64] = np.divide(
        over, under, out=np.zeros(len(over), np.float64), where=under != 0
    )
    return quotient


def record_batch(adds: tuple[Signal, ...], values: Mapping[str, NDArray[Any]]) -> pa.RecordBatch:
    """The columns of `adds` from arrays of that name; floats rounded."""
    import numpy as np
    import pyarrow as pa

    columns = {}
    for signal in adds:
        value = values[signal.name]
        if signal.type == "float64":
            value = np.round(value, DECIMALS)
        columns[signal.name] = pa.array(value, type=pa.type_for_alias(signal.type))
    return pa.RecordBatch.from_pydict(columns)
