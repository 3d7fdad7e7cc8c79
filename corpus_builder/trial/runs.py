"""Runs of a trial: one model each, known by all that decides it, and what it came to.

Invariant: a run's folder is `<arm>-<seed>-<hash8>`; the hash covers all that decides its result
(model, budget, seed, order, token stores, held-out text, tokenizer, the trainer's code, torch) and
nothing else.
`run.json` appears last; what is killed before that goes on from its newest checkpoint and ends in
the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..fingerprint import fingerprint
from ..mixing.order import Order
from ..stages.encoder import load_tokenizer
from ..store.atomic import sha256_file
from ..store.errors import IntegrityError
from ..store.reports import read_run_record
from ..store.tables import read_table
from ..train import trainer_digest
from ..train.data import Batches, MixBatches, ShuffledTokens
from ..train.sizes import BETA1
from .data import ArmData, Heldout
from .pairing import Alignment
from .probes import Probe, read_pairs
from .settings import Settings

if TYPE_CHECKING:
    from ..train.evaluate import Documents, MinimalPairs
    from ..train.loop import TrainConfig

FORMAT = 2
CHECKPOINTS = 8
DOCUMENTS = pa.schema(
    [
        ("corpus", pa.string()),
        ("doc_id", pa.binary(16)),
        ("bytes", pa.int64()),
        ("tokens", pa.int64()),
        ("bits", pa.float64()),
    ]
)
PAIRS = pa.schema(
    [
        ("probe", pa.string()),
        ("phenomenon", pa.string()),
        ("pairs", pa.int64()),
        ("right", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Run:
    """One model to train: an arm's data with a seed.

    Attributes:
        shuffled: share of the tokens that change places, for data known to be worse.
        probes: minimal pairs that the model is tried on.
        alignments: corpora whose sequences are read in the places that the base's have.
    """

    arm: str
    seed: int
    settings: Settings
    data: ArmData
    order: Order
    heldout: Heldout
    shuffled: float = 0.0
    probes: tuple[Probe, ...] = ()
    alignments: Mapping[str, Alignment] = field(default_factory=dict)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that decides its result."""
        data, used = self.data, self.order.names
        return {
            "format": FORMAT,
            "settings": asdict(self.settings),
            "vocab": data.vocab,
            "seed": self.seed,
            "order": [list(used), self.order.fingerprint()],
            "stores": {name: data.contents[name] for name in used if name in data.contents},
            "tokenizer": data.tokenizer_digest,
            "heldout": [self.heldout.digest, sorted(self.heldout.corpora), self.heldout.most],
            "aligned": [part.identity for part in self.alignments.values()],
            "shuffled": self.shuffled,
            "probes": {probe.name: probe.sha256 for probe in self.probes},
            "trainer": trainer_digest(),
            "versions": {name: version(name) for name in ("corpus-builder", "torch")},
        }

    @cached_property
    def hash(self) -> str:
        """Of `identity`; runs with the same one are the same run."""
        return fingerprint(self.identity)[:8]

    @property
    def name(self) -> str:
        """Of its folder, where it is trained first."""
        return f"{self.arm}-{self.seed}-{self.hash}"

    def batches(self) -> Batches:
        """The tokens it trains on, step by step."""
        sound = MixBatches(self.order, self.data.stores, self.settings.sequences, self.alignments)
        return ShuffledTokens(sound, self.shuffled, self.seed) if self.shuffled else sound

    def config(self) -> TrainConfig:
        """For the training loop."""
        from ..train.loop import TrainConfig
        from ..train.model import ModelConfig
        from ..train.optimizers import OptimizerConfig
        from ..train.schedule import Schedule

        settings = self.settings
        return TrainConfig(
            model=ModelConfig(settings.shape, self.data.vocab, settings.sequence_length),
            optimizer=OptimizerConfig(
                settings.learning_rate, settings.optimizer, (BETA1, settings.beta2)
            ),
            schedule=Schedule((settings.steps,)),
            seed=self.seed,
            precision=settings.machine.precision,  # type: ignore[arg-type]
            device=settings.machine.device,
            compile=settings.machine.device == "cuda",
            checkpoint_steps=max(1, settings.steps // CHECKPOINTS),
        )

    def documents(self) -> dict[str, Documents]:
        """The held-out documents of each corpus, encoded."""
        from ..train.evaluate import encode

        tokenizer = load_tokenizer(self.data.tokenizer)
        texts = self.heldout.texts()
        return {name: encode(part, tokenizer, self.data.eos) for name, (_, part) in texts.items()}

    def pairs(self) -> dict[str, MinimalPairs]:
        """The minimal pairs of each probe, encoded."""
        from ..train.evaluate import encode_pairs

        tokenizer = load_tokenizer(self.data.tokenizer)
        tables = {probe.name: read_pairs(probe) for probe in self.probes}
        return {name: encode_pairs(t, tokenizer, self.data.eos) for name, t in tables.items()}


@dataclass(frozen=True)
class Result:
    """A finished run: bits and bytes of each held-out document, `float64` and `int64[documents]`.

    The pieces of one text are one document: they are alike, and say less than as many others.

    Attributes:
        documents: table of DOCUMENTS, a row a piece.
        tokens: of all those documents, as this run's tokenizer has it.
        pairs: table of PAIRS.
        tables: digest of these three tables' files.
    """

    bits: Mapping[str, npt.NDArray[np.float64]]
    bytes: Mapping[str, npt.NDArray[np.int64]]
    tokens: int
    curve: pa.Table
    documents: pa.Table
    pairs: pa.Table
    tables: str

    def share_right(self, probe: str) -> float:
        """Of a probe's minimal pairs, those whose good sentence is the more probable one."""
        rows = [row for row in self.pairs.to_pylist() if row["probe"] == probe]
        right, pairs = (sum(int(row[name]) for row in rows) for name in ("right", "pairs"))
        return right / pairs


def find_run(folder: Path, run: Run) -> Path | None:
    """The folder of this run where it is finished, whichever arm it was trained for."""
    found = sorted(folder.glob(f"*-{run.hash}/run.json"))
    return found[0].parent if found else None


def read_run(path: Path, run: Run) -> Result:
    """Read a finished run.

    Raises:
        IntegrityError: its files are not what `run.json` says, or it is another run.
    """
    again = "delete the folder and run again"
    try:
        record = read_run_record(path / "run.json")
    except IntegrityError as error:
        raise IntegrityError(error.where, error.what, do=again) from error
    if record.identity != run.identity:
        raise IntegrityError(str(path), "is of another run", do=again)
    for file in record.files:
        if not (path / file.path).exists() or sha256_file(path / file.path) != file.sha256:
            raise IntegrityError(str(path / file.path), "is not what was written", do=again)
    documents = read_table(path / "documents.parquet")
    whole = documents.group_by(["corpus", "doc_id"], use_threads=False).aggregate(
        [("bits", "sum"), ("bytes", "sum")]
    )
    names = np.array(whole.column("corpus").to_pylist())
    bits, size = (whole.column(name).to_numpy() for name in ("bits_sum", "bytes_sum"))
    return Result(
        bits={corpus: bits[names == corpus] for corpus in run.heldout.corpora},
        bytes={corpus: size[names == corpus] for corpus in run.heldout.corpora},
        tokens=int(documents.column("tokens").to_numpy().sum()),
        curve=read_table(path / "curve.parquet"),
        documents=documents,
        pairs=read_table(path / "pairs.parquet"),
        tables=record.tables,
    )
