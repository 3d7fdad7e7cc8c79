"""Registries list what there is, and an unknown name gets the nearest known one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from corpus_builder import registry
from corpus_builder.signals import FAMILIES
from corpus_builder.sources import sample
from corpus_builder.store.errors import RecipeError
from corpus_builder.transforms import TRANSFORMS


@pytest.mark.parametrize(
    ("shelf", "wrong", "nearest"),
    [
        (registry.FAMILIES, "gophr", "gopher"),
        (registry.SIGNALS, "n_word", "n_words"),
        (registry.SIGNALS, "lang_scores", "lang_score"),
        (registry.TRANSFORMS, "c4-line", "c4-lines"),
        (registry.EXTRACTORS, "resilipars", "resiliparse"),
        (registry.SAMPLES, "web-doc", "web-docs"),
    ],
)
def test_an_unknown_name_gets_the_nearest(
    shelf: registry.Registry[object], wrong: str, nearest: str
) -> None:
    assert shelf.get(nearest, "here")
    with pytest.raises(RecipeError, match=rf"^here: no .* named {wrong!r}; .*mean {nearest!r}\?"):
        shelf.get(wrong, "here")


def test_registries_hold_what_the_packages_export() -> None:
    assert set(registry.FAMILIES.names) == set(FAMILIES)
    assert set(registry.TRANSFORMS.names) == set(TRANSFORMS)
    assert set(registry.SAMPLES.names) == set(sample.NAMES)
    signals = {signal.name for family in FAMILIES.values() for signal in family.adds}
    assert set(registry.SIGNALS.names) == signals | {"lang", "lang_score"}


def test_signals_have_the_kind_rules_need() -> None:
    kinds = registry.signal_kinds()
    assert kinds["n_words"] == kinds["lang_score"] == "number"
    assert kinds["lang"] == "string"
    assert kinds["has_lorem_ipsum"] == "bool"


def test_listing_names_loads_no_compiled_code() -> None:
    code = (
        "import sys; from corpus_builder import registry;"
        "shelves = ('SIGNALS', 'TRANSFORMS', 'SAMPLES', 'EXTRACTORS');"
        "[getattr(registry, shelf).names for shelf in shelves];"
        "print([name for name in ('pyarrow', 'numba', 'numpy', 'lxml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
