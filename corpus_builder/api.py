"""The Python interface: load a recipe, plan it, run it, look at what it came to, export it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import plan as planning
from . import recipe as recipes

if TYPE_CHECKING:
    from .export.run import ExportReport
    from .report.funnel import Row
    from .report.verify import Finding
    from .runner import RunReport
    from .store.manifest import StageManifest
    from .trial.report import TrialReport


def load(recipe: str | Path, set: Mapping[str, Any] | None = None) -> Recipe:  # noqa: A002
    """Read and validate a recipe.

    Args:
        recipe: a shipped name or the path of a YAML file.
        set: changes by dotted path, as `--set` takes them.

    Raises:
        RecipeError: everything that is wrong with it, a line each.
    """
    loaded = recipes.load_recipe(recipe)
    return Recipe(loaded.with_patch(set) if set else loaded)


@dataclass(frozen=True)
class Recipe:
    """A valid recipe."""

    definition: recipes.Recipe

    @property
    def name(self) -> str:
        """Its name."""
        return self.definition.name

    def plan(self, out: str | Path | None = None) -> Plan:
        """Make it concrete: list inputs, freeze splits; reads no data.

        Args:
            out: folder of the run; `runs/<name>` by default.

        Raises:
            SourceError: an input cannot be listed, or the sample cannot be fetched.
        """
        folder = Path(out) if out is not None else Path("runs") / self.name
        return Plan(planning.make_plan(self.definition, folder))


@dataclass(frozen=True)
class Plan:
    """A recipe over the files there are."""

    definition: planning.Plan

    @property
    def stages(self) -> Sequence[str]:
        """Names of all stages, in an order in which they could run."""
        return list(self.definition.stages)

    def run(
        self, *, workers: int | None = None, memory: int | None = None, until: str | None = None
    ) -> RunReport:
        """Build what is not yet built.

        Args:
            workers: processes; all cores by default.
            memory: bytes for all of them; 80 % of what is free by default.
            until: name of a stage to stop after.

        Raises:
            CorpusError: whatever went wrong; finished shards stay.
        """
        from .runner import run_plan

        return run_plan(self.definition, planning.resources(workers, memory), until=until)

    def trial(
        self, *, budget: float | None = None, self_test: bool = False, lr_check: bool = False,
        until_decided: bool = False, workers: int | None = None, memory: int | None = None,
    ) -> TrialReport:  # fmt: skip
        """Compare the recipe's arms by training small models; what is trained already is kept.

        Args:
            budget: seconds that training may take; as the recipe says by default.
            self_test: train an A/A arm and shuffled tokens too; `void` says if they fail.
            lr_check: train everything at a tenth of the learning rate too.
            until_decided: go on with more seeds for arms that are undecided.
            workers, memory: as for `run`.

        Raises:
            CorpusError: whatever went wrong, PyTorch missing for one; finished models stay.
        """
        from .trial.trial import Options, Unfollowed, run_trial

        plan, given = self.definition, planning.resources(workers, memory)
        options = Options(budget, self_test, lr_check, until_decided)
        return run_trial(plan.recipe, plan.out, given, Unfollowed(), options)

    def manifests(self) -> list[StageManifest]:
        """Manifests of all sealed stages."""
        return self.definition.manifests()

    def funnel(self) -> dict[str, list[Row]]:
        """What each stage kept and lost, by corpus."""
        from .report.funnel import funnel

        return funnel(self.manifests())

    def documents(self, corpus: str) -> Iterable[Path]:
        """Parquet files of a corpus' kept documents."""
        return sorted((self.definition.out / "documents" / corpus).glob("*.parquet"))

    @property
    def mix(self) -> Path:
        """Folder of the mix, for `datasets.load_from_disk`."""
        return self.definition.out / "mix"

    def export(
        self, to: str, *, what: str | None = None, target: str | Path | None = None
    ) -> ExportReport:
        """Lay out the finished run for a trainer, in a folder that appears whole or not at all.

        Args:
            to: a format: `hf`, `parquet`, `megatron`, `litdata`, `nanogpt`, `datatrove`, `olmo`.
            what: `mix`, `documents` or `text`; the format's own choice by default.
            target: folder to make; `exports/<to>-<what>` in the run's folder by default.

        Raises:
            RecipeError: no such format, it cannot hold that, or the recipe has nothing of the kind.
            DataError: the run is not finished, or the target is something else.
        """
        from .export.run import export, target_of

        plan = self.definition
        place = target_of(plan.out, target, to, what)
        return export(plan.context, plan.recipe.name, to, place, what)

    def verify(self) -> list[Finding]:
        """Hash everything again, check every sum; what is not as the manifests claim."""
        from .report.verify_trial import verify_all

        checks = verify_all(self.definition, self.manifests())
        return [checked.finding for checked in checks if checked.finding]
