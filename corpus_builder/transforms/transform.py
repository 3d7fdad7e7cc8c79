"""What a transform is.

Invariant: as many texts out as in, in order, and a function of text and options alone; importing a
transform costs nothing but its declaration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TransformResult:
    """New texts (large_string, row for row) and what was removed, by cause, over all rows."""

    texts: pa.LargeStringArray
    counts: dict[str, int]


@dataclass(frozen=True)
class Transform:
    """A versioned rewriting of text.

    Attributes:
        version: raised whenever the result could change for any text and options.
        options: frozen dataclass whose fields all have defaults; its constructor checks them.
        cite: where the rules come from.
        apply: texts (large_string, no nulls) and an instance of `options` to the result.
    """

    name: str
    version: int
    options: type[Any]
    cite: str
    apply: Callable[[pa.LargeStringArray, Any], TransformResult]
