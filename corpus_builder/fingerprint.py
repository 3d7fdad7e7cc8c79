"""Fingerprints: one canonical hash of what a stage reads.

Invariant: only plain values with a stable identity are accepted (None, bool, int, finite float,
str, lists and string-keyed mappings of them); anything else is refused rather than hashed by
accident.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any


def fingerprint(value: Any) -> str:
    """Hex SHA-256 of a plain value.

    Raises:
        TypeError: a part has no stable identity (functions, paths, sets, NaN ...).
    """
    text = json.dumps(
        _plain(value, "value"), sort_keys=True, separators=(",", ":"), ensure_ascii=True
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{where}: {value} has no stable identity")
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{where}: key {key!r} is not a string")
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    raise TypeError(f"{where}: {type(value).__name__} has no stable identity")
