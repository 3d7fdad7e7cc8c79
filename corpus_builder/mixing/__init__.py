"""Weights, counts and order of a mix: pure functions of numbers, no files and no RNG state."""

from __future__ import annotations

ORDER_VERSION = 1
"""Names the function of `order`: part of every key and fingerprint. It lies here because this
module loads no compiled code."""
