"""Transforms: versioned rewritings of text, each of which opens a new text version.

Invariant: importing this package loads neither Arrow nor compiled code.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from corpus_builder.transforms import c4_lines
from corpus_builder.transforms.transform import Transform, TransformResult

__all__ = ["TRANSFORMS", "Transform", "TransformResult"]

TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
    {module.TRANSFORM.name: module.TRANSFORM for module in (c4_lines,)}
)
