"""Signals: versioned measures of a document, grouped in families that are computed together.

Invariant: a signal name belongs to exactly one family; importing this package loads neither Arrow
nor compiled code.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from corpus_builder.signals import c4, code, fineweb, gopher, gopher_repetition, text
from corpus_builder.signals.family import Family, Signal

__all__ = ["FAMILIES", "Family", "Signal", "family_of"]

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        module.FAMILY.name: module.FAMILY
        for module in (text, gopher, gopher_repetition, fineweb, c4, code)
    }
)

_BY_SIGNAL = {signal.name: family for family in FAMILIES.values() for signal in family.adds}


def family_of(signal_name: str) -> Family:
    """The family that adds this signal.

    Raises:
        KeyError: no family adds it.
    """
    return _BY_SIGNAL[signal_name]
