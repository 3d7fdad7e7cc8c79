"""Training: the steps of a trunk and its branches, with checkpoints and a curve.

Invariant: on a CPU a run is a pure function of its `TrainConfig` and batches; killed anywhere and
started again, it ends in the same bits. There is no global state: models may train side by side
(the number of threads, a process's, is set while a run lasts and then put back).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from corpus_builder.store.errors import DataError, RecipeError

from . import checkpoint, formulas, fused, optimizers
from .checkpoint import Shelf
from .data import Batches
from .machine import DTYPES, Precision, cpu_threads
from .model import Decoder, ModelConfig
from .optimizers import OptimizerConfig
from .schedule import Schedule

MICRO_TOKENS = {"fp32": 1024, "bf16": 4096, "cuda": 65_536}
CUDA_LOGITS = 1 << 28
"""Logits computed at once on CUDA: all of a micro-batch's are held, 1 GiB of fp32."""

CURVE = pa.schema(
    [
        ("step", pa.int64()),
        ("tokens", pa.int64()),
        ("loss", pa.float64()),
        ("learning_rate", pa.float64()),
        ("gradient_norm", pa.float64()),
        ("tokens_per_second", pa.float64()),
    ]
)
Row = dict[str, Any]
Evaluator = Callable[[Decoder], Any]
Progress = Callable[[int, int, Row], None]


@dataclass(frozen=True)
class TrainConfig:
    """One run.

    Attributes:
        seed: of the initial weights.
        precision: of activations and products; weights and optimizer state are fp32.
        device: `cpu` or `cuda...`.
        threads: of a CPU run. One, and runs side by side, is the fastest use of several cores.
        compile: through `torch.compile`; pays on CUDA.
        micro_tokens: tokens computed at once, their gradients added up over a step. None is 1,024
            on a CPU (activations stay in cache), 4,096 there in bf16, and 65,536 on CUDA, fewer
            for large vocabularies.
        checkpoint_steps: steps between checkpoints.
    """

    model: ModelConfig
    optimizer: OptimizerConfig
    schedule: Schedule
    seed: int = 0
    precision: Precision = "fp32"
    device: str = "cpu"
    threads: int = 1
    compile: bool = False
    micro_tokens: int | None = None
    checkpoint_steps: int = 500

    @property
    def on_cuda(self) -> bool:
        return self.device.startswith("cuda")

    def micro_sequences(self, length: int) -> int:
        """Sequences computed at once."""
        usual = MICRO_TOKENS[self.precision]
        if self.on_cuda:
            usual = min(MICRO_TOKENS["cuda"], CUDA_LOGITS // self.model.vocab)
        return max(1, (self.micro_tokens or usual) // length)

    def identity(self, batches: Batches) -> dict[str, Any]:
        """What decides the weights; budgets are left out but for the warm-up they set."""
        free = {"checkpoint_steps", "schedule"}
        plain = {key: value for key, value in asdict(self).items() if key not in free}
        schedule = self.schedule
        return plain | {
            "device": "cuda" if self.on_cuda else "cpu",
            "schedule": [schedule.warmup_steps, schedule.decay, schedule.shape],
            "batches": batches.identity,
        }


@dataclass(frozen=True)
class BudgetResult:
    """The run of one budget.

    Attributes:
        steps, tokens: trained; a step counts B * T tokens.
        curve: a row a step, trunk included, with the columns of `CURVE`.
        evaluations: what each evaluator said of the final model.
        checkpoint: its weights.
    """

    steps: int
    tokens: int
    curve: pa.Table
    evaluations: dict[str, Any]
    checkpoint: Path


@dataclass(frozen=True)
class TrainResult:
    """The runs of all budgets, by budget."""

    budgets: tuple[BudgetResult, ...]

    @property
    def final(self) -> BudgetResult:
        """That of the largest budget."""
        return self.budgets[-1]


@dataclass
class _Run:
    """A model in training."""

    config: TrainConfig
    model: Decoder = field(init=False)
    step: int = 0
    curve: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        config = self.config
        plain = config.on_cuda or config.compile
        self.model = Decoder(config.model, config.seed, formulas if plain else fused)
        self.model.to(config.device)
        self.optimizers = optimizers.build(self.model, config.optimizer, DTYPES[config.precision])
        loss = self.model.loss_sums
        self._loss = torch.compile(loss) if config.compile else loss

    def advance(self, tokens: Tensor, share: float) -> Row:
        """One optimizer step on `int64[B, T]`; `share` of the peak rate."""
        start = time.perf_counter()
        config, length = self.config, tokens.shape[1]
        predicted = len(tokens) * (length - 1)
        entropy = torch.zeros((), dtype=torch.float64, device=tokens.device)
        for part in tokens.split(config.micro_sequences(length)):
            loss, plain = self._loss(part, DTYPES[config.precision])
            (loss / predicted).backward()
            entropy += plain
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.optimizer.clip)
        row = {
            "step": self.step + 1,
            "tokens": (self.step + 1) * tokens.numel(),
            "loss": float(entropy) / predicted,
            "learning_rate": config.optimizer.learning_rate * share,
            "gradient_norm": float(norm),
        }
        self._check(row)
        optimizers.set_rate(self.optimizers, row["learning_rate"])
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        row["tokens_per_second"] = tokens.numel() / (time.perf_counter() - start)
        self.curve.append(row)
        return row

    def _check(self, row: Row) -> None:
        """Stop a run that has diverged: not finite, or twice as bad as knowing nothing."""
        worst = 2 * math.log(self.config.model.vocab) + 1
        if math.isfinite(row["gradient_norm"]) and row["loss"] < worst:
            return
        what = f"diverged: loss {row['loss']:.4g}, gradient norm {row['gradient_norm']:.4g}"
        rate = row["learning_rate"]
        do = f"lower the learning rate (now {rate:.3g}) or lengthen the warm-up"
        raise DataError(f"training, step {row['step']:,}", what, do=do)

    def save(self, path: Path, identity: Mapping[str, Any], *, final: bool) -> None:
        """A final state keeps no optimizer: nothing goes on from it."""
        states = [] if final else [o.state_dict() for o in self.optimizers]
        content = {"step": self.step, "curve": self.curve, "model": self.model.state_dict()}
        checkpoint.save(path, content | {"optimizers": states}, identity)

    def restore(self, path: Path, identity: Mapping[str, Any]) -> None:
        content = checkpoint.load(path, identity, self.config.device)
        self.model.load_state_dict(content["model"])
        for optimizer, state in zip(self.optimizers, content["optimizers"], strict=False):
            optimizer.load_state_dict(state)
        self.step, self.curve = content["step"], content["curve"]


def train(
    config: TrainConfig,
    batches: Batches,
    out: Path,
    *,
    evaluators: Mapping[str, Evaluator] | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Train every budget of the schedule, from where `out` says an earlier call stopped.

    Args:
        out: folder of the checkpoints, this run's alone.
        evaluators: called with each budget's final model, under `cpu_threads`.
        progress: called after each step with the steps done, the steps of this budget, the row.

    Raises:
        RecipeError: batches and model do not fit, or there are too few batches.
        DataError: a token is outside the vocabulary, or the loss diverged; names the step.
        IntegrityError: a checkpoint in `out` is damaged or of another run.
    """
    _check_fit(config, batches)
    done = []
    with nullcontext() if config.on_cuda else cpu_threads(config.threads):
        for budget in config.schedule.budgets:
            run, path = _train_budget(config, batches, out, budget, progress)
            done.append(
                BudgetResult(
                    steps=budget,
                    tokens=budget * batches.sequences * batches.sequence_length,
                    curve=pa.Table.from_pylist(run.curve, CURVE),
                    evaluations={name: e(run.model) for name, e in (evaluators or {}).items()},
                    checkpoint=path,
                )
            )
    return TrainResult(tuple(done))


def _check_fit(config: TrainConfig, batches: Batches) -> None:
    longest, steps = config.model.sequence_length, config.schedule.budgets[-1]
    if not 2 <= batches.sequence_length <= longest:
        what = f"sequences of {batches.sequence_length} tokens for a model of {longest}"
        raise RecipeError("training", what)
    if steps > batches.steps:
        what = f"{steps:,} steps are asked for; the mix fills {batches.steps:,}"
        raise RecipeError("training", what, do="raise mix.tokens or train for fewer steps")


def _train_budget(
    config: TrainConfig, batches: Batches, out: Path, budget: int, progress: Progress | None
) -> tuple[_Run, Path]:
    shelf, identity = Shelf(out, config.schedule), config.identity(batches)
    branch = config.schedule.branch_step(budget)
    last = budget == config.schedule.budgets[-1]
    run = _Run(config)
    newest = shelf.newest(budget)
    if newest is not None:
        run.restore(newest, identity)
    while run.step < budget:
        tokens = _tensor(batches.batch(run.step), config, run.step)
        row = run.advance(tokens, config.schedule.rate(run.step, budget))
        branches_off = run.step == branch and not last
        if run.step % config.checkpoint_steps == 0 or branches_off or run.step == budget:
            run.save(shelf.path(budget, run.step), identity, final=run.step == budget)
            shelf.tidy(budget, run.step)
        if progress is not None:
            progress(run.step, budget, row)
    return run, shelf.path(budget, budget)


def _tensor(batch: Any, config: TrainConfig, step: int) -> Tensor:
    tokens = torch.from_numpy(batch.astype("int64"))
    top = int(tokens.max())
    if top >= config.model.vocab:
        what = f"token {top} is outside the model's vocabulary of {config.model.vocab}"
        raise DataError(f"training, step {step + 1:,}", what)
    return tokens.to(config.device)


def load_model(path: Path, config: TrainConfig, batches: Batches) -> Decoder:
    """The model of a checkpoint, on the run's device."""
    run = _Run(config)
    run.restore(path, config.identity(batches))
    return run.model
