"""The funnel: per corpus, what entered each stage, what left it, and what became of the rest.

Invariant: every number comes from sealed manifests; in = out + named losses in every row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ..store.manifest import StageManifest

if TYPE_CHECKING:
    from rich.console import RenderableType

BAR = 24


@dataclass(frozen=True)
class Row:
    """One stage of the funnel.

    Attributes:
        stage: its name within the corpus.
        records_in, records_out: documents (records for the first stage).
        lost: by cause, most first.
        rules: per rule, documents dropped first by it, at all, only by it (filters).
    """

    stage: str
    records_in: int
    records_out: int
    lost: dict[str, int]
    rules: dict[str, dict[str, int]]


def funnel(manifests: Sequence[StageManifest]) -> dict[str, list[Row]]:
    """Rows of every corpus that can lose documents, in order."""
    corpora: dict[str, list[Row]] = {}
    for manifest in manifests:
        verb = manifest.identity["verb"]
        loses = verb in (
            "read",
            "extract",
            "language.keep",
            "transform",
            "filter",
            "dedup",
            "guard",
        )
        if manifest.corpus is None or not loses:
            continue
        corpora.setdefault(manifest.corpus, []).append(
            Row(
                manifest.name.partition(".")[2],
                manifest.counts.records_in,
                manifest.counts.records_out,
                dict(sorted(manifest.counts.lost.items(), key=lambda item: (-item[1], item[0]))),
                manifest.facts.get("rules", {}),
            )
        )
    return corpora


def mix_of(manifests: Sequence[StageManifest]) -> StageManifest | None:
    """The manifest of the mix, where there is one."""
    return next((m for m in manifests if m.identity["verb"] == "mix"), None)


def as_json(manifests: Sequence[StageManifest]) -> dict[str, Any]:
    """The funnel and the mix as plain values."""
    mix = mix_of(manifests)
    stores = [m for m in manifests if m.identity["verb"] == "tokens"]
    tokens = {m.name.removesuffix(".tokens"): m.facts for m in stores}
    return {
        "corpora": {
            name: [asdict(row) for row in rows] for name, rows in funnel(manifests).items()
        },
        "tokens": tokens,
        "mix": mix.facts if mix else None,
    }


def render(manifests: Sequence[StageManifest], *, rules: bool = False) -> list[RenderableType]:
    """The funnel, and the mix where it is made, as tables."""
    parts: list[RenderableType] = []
    for corpus, rows in funnel(manifests).items():
        parts.append(_table(corpus, rows))
        if rules:
            parts += [_rule_table(row) for row in rows if row.rules]
    mix = mix_of(manifests)
    if mix is not None:
        parts.append(_mix_table(mix.facts["corpora"], mix.identity["config"]))
        parts += [_bucket_table(name, cut) for name, cut in mix.facts.get("buckets", {}).items()]
    return parts


def _table(corpus: str, rows: Sequence[Row]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"[bold]{corpus}[/]", title_justify="left", box=None, pad_edge=False)
    table.add_column("stage", style="bold", no_wrap=True)
    table.add_column("in", justify="right")
    table.add_column("out", justify="right")
    table.add_column("kept", justify="right")
    table.add_column("of all", no_wrap=True)
    table.add_column("lost to", overflow="fold")
    most = max((row.records_in for row in rows), default=0)
    for row in rows:
        share = row.records_out / row.records_in if row.records_in else 1.0
        table.add_row(
            row.stage, f"{row.records_in:,}", f"{row.records_out:,}", f"{share:.1%}",
            Text(_bar(row.records_out, most), style="cyan"), _causes(row.stage, row.lost),
        )  # fmt: skip
    return table


def _bar(value: int, most: int) -> str:
    eighths = round(8 * BAR * value / most) if most else 0
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")


def _causes(stage: str, lost: Mapping[str, int], limit: int = 4) -> str:
    shown = [f"{name.removeprefix(stage + '.')} {count:,}" for name, count in lost.items()]
    more = f", {len(shown) - limit} more causes" if len(shown) > limit else ""
    return ", ".join(shown[:limit]) + more


def _rule_table(row: Row) -> RenderableType:
    from rich.table import Table

    table = Table(title=f"rules of {row.stage}", title_justify="left", box=None, pad_edge=False)
    table.add_column("rule", style="bold", no_wrap=True)
    for title in ("first", "at all", "only"):
        table.add_column(f"dropped {title}", justify="right")
    for name, counts in row.rules.items():
        table.add_row(name, *(f"{counts[key]:,}" for key in ("first", "any", "only")))
    return table


def _mix_table(
    corpora: Mapping[str, Mapping[str, Any]], config: Mapping[str, Any]
) -> RenderableType:
    from rich.table import Table

    title = f"[bold]mix[/] · {config['tokens']:,} tokens, sequences of {config['sequence_length']}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("corpus", style="bold")
    stages = _stage_shares(corpora)
    by_stage = [f"stage {number}" for number in range(1, len(stages) + 1)]
    for name in ("weight", "realised", *by_stage, "tokens", "unique", "epochs", "worth"):
        table.add_column(name, justify="right")
    for name, part in corpora.items():
        table.add_row(
            name, f"{part['requested_weight']:.4f}", f"{part['realised_weight']:.4f}",
            *(f"{stage[name]:.4f}" for stage in stages),
            f"{part['tokens']:,}", f"{part['unique_tokens']:,}", f"{part['epochs']:.2f}",
            f"{part['effective_tokens']:,}",
        )  # fmt: skip
    return table


def _stage_shares(corpora: Mapping[str, Mapping[str, Any]]) -> list[dict[str, float]]:
    """What each corpus is of every stage of a mix; nothing where there is one stage alone."""
    counts = [part["sequences_by_stage"] for part in corpora.values()]
    totals = [sum(stage) for stage in zip(*counts, strict=True)]
    if len(totals) == 1:
        return []
    return [
        {name: part["sequences_by_stage"][number] / total for name, part in corpora.items()}
        for number, total in enumerate(totals)
    ]


def _bucket_table(corpus: str, cut: Mapping[str, Any]) -> RenderableType:
    from rich.table import Table

    title = f"[bold]{corpus}[/] in buckets by {cut['by']}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("bucket", style="bold")
    for name in ("from", "below", "documents", "times"):
        table.add_column(name, justify="right")
    borders = ["", *(f"{edge:.10g}" for edge in cut["edges"]), ""]
    for bucket, (low, high) in enumerate(pairwise(borders)):
        count, times = cut["documents"][str(bucket)], cut["times"][bucket]
        table.add_row(f"{corpus}.b{bucket}", low, high, f"{count:,}", f"{times:g}")
    return table
