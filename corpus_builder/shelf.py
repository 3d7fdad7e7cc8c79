"""The shelf: everything a recipe can name, with a line about each; and copying from it."""

from __future__ import annotations

from pathlib import Path

from . import bundled, registry, yamlfile
from .store.atomic import write_bytes
from .store.errors import RecipeError, did_you_mean


def contents() -> dict[str, dict[str, str]]:
    """Kind -> name -> one line about it."""
    families = registry.FAMILIES.entries()
    return {
        "pipelines": {
            name: _purpose(bundled.find("pipelines", name)) for name in bundled.names("pipelines")
        },
        "filters": {
            name: _cite(bundled.find("filters", name)) for name in bundled.names("filters")
        },
        "signals": {
            signal.name: f"{family}: {signal.doc}"
            for family, entry in sorted(families.items())
            for signal in entry.adds
        }
        | dict.fromkeys(("lang", "lang_score"), "language: added by a `language` stage (fastText)"),
        "transforms": {
            name: registry.TRANSFORMS.get(name, "ls").cite for name in registry.TRANSFORMS.names
        },
        "extractors": dict.fromkeys(registry.EXTRACTORS.names, "main text of an HTML page"),
        "samples": {
            name: f"read as {registry.SAMPLES.get(name, 'ls')}" for name in registry.SAMPLES.names
        },
    }


def _purpose(path: Path) -> str:
    """The first comment line of a recipe."""
    first = path.read_text().splitlines()[0]
    return first.lstrip("# ").strip()


def _cite(path: Path) -> str:
    node = yamlfile.load(path).mapping
    return str(node["cite"].value).strip() if node and "cite" in node else ""


def copy_out(name: str, target: Path | None) -> Path:
    """Copy a shipped recipe or rule set; returns where it went.

    Raises:
        RecipeError: nothing of that name is shipped, or the target exists.
    """
    pipelines, filters = bundled.names("pipelines"), bundled.names("filters")
    if name not in (*pipelines, *filters):
        allowed = did_you_mean(name, [*pipelines, *filters])
        raise RecipeError(name, "is neither a shipped recipe nor a rule set", allowed=allowed)
    source = bundled.find("pipelines" if name in pipelines else "filters", name)
    default = Path(f"{name}.yaml") if name in pipelines else Path("filters") / f"{name}.yaml"
    written = target or default
    if written.exists():
        raise RecipeError(str(written), "exists already", do="name another target")
    write_bytes(written, source.read_bytes())
    return written
