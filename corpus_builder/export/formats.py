"""The formats there are: what each can hold, what it holds by default, how a trainer reads it.

Invariant: plain strings, so that `--help` needs no library; `write` of the module named does the
work.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..store.errors import RecipeError, did_you_mean

WHATS = {
    "mix": "the sequences of the mix, in its order",
    "documents": "every training document once, tokenised, with its true ends, by corpus",
    "text": "every training document once, as text (needs heldout, for validation)",
}


@dataclass(frozen=True)
class Format:
    """A layout.

    Attributes:
        whats: contents it can hold, the default first.
        reads: how its reader is to be set up; `{T}` is the sequence length, `{T1}` one less,
            `{dtype}` and `{size}` are a token's type and bytes.
    """

    name: str
    whats: tuple[str, ...]
    about: str
    reads: dict[str, str]


FORMATS = {
    entry.name: entry
    for entry in (
        Format(
            "hf", ("mix", "documents"), "Hugging Face dataset on disk (Arrow streams)",
            {"mix": "datasets.load_from_disk(target)",
             "documents": "datasets.load_from_disk(target): a DatasetDict, one entry a corpus"},
        ),
        Format(
            "parquet", ("mix", "documents", "text"), "Parquet rows",
            {"mix": "datasets.load_dataset(target)",
             "documents": "datasets.load_dataset(target)",
             "text": "torchtitan, nanochat: target/data, whose last file is validation; rows are "
                     "neither weighted nor shuffled, the weights are in corpus-export.json"},
        ),
        Format(
            "megatron", ("documents", "mix"), "Megatron .bin and .idx",
            {"documents": "--data-path WEIGHT target/CORPUS ..., weights in corpus-export.json",
             "mix": "--data-path target/mix, a document a sequence; Megatron shuffles documents "
                    "and joins them to T + 1 tokens, so the order of the mix is not replayed"},
        ),
        Format(
            "litdata", ("mix", "documents"), "litdata chunks for TokensLoader",
            {"mix": "TokensLoader(block_size={T}), shuffle=False: an item is a sequence. A larger "
                    "block (litgpt takes T + 1) runs across sequences: to predict T tokens, give "
                    "the recipe sequence_length T + 1",
             "documents": "TokensLoader over target/CORPUS; what fills no block at the end of a "
                          "chunk is skipped by the reader"},
        ),
        Format(
            "nanogpt", ("mix",), "nanoGPT train.bin, val.bin, meta.pkl (16 bit; needs heldout)",
            {"mix": "nanoGPT draws windows at random: the tokens are the mix's, its order is not "
                    "replayed; val.bin holds the held-out documents"},
        ),
        Format(
            "datatrove", ("documents", "mix"), "datatrove .ds, .ds.index, .ds.metadata",
            {"documents": "DatatroveFolderDataset(target/CORPUS, seq_len=..., token_size={size})",
             "mix": "DatatroveFileDataset(target/mix/00000_mix.ds, seq_len={T1}, "
                    "token_size={size}): windows of seq_len + 1 = {T} tokens are the sequences"},
        ),
        Format(
            "olmo", ("mix", "documents"), "OLMo-core headerless .npy with .csv.gz",
            {"mix": "NumpyFSLDataset(target/*.npy, sequence_length={T}, dtype=np.{dtype}); with "
                    "intra-document masks take the ends from .csv.gz, as sequences cut documents",
             "documents": "NumpyFSLDataset(target/CORPUS/*.npy, dtype=np.{dtype}, ...)"},
        ),
    )
}  # fmt: skip


def choose(to: str, what: str | None) -> tuple[Format, str]:
    """The format of a name, and what it is to hold.

    Raises:
        RecipeError: there is no such format, or it cannot hold that.
    """
    if to not in FORMATS:
        raise RecipeError("--to", f"no format {to!r}", allowed=did_you_mean(to, FORMATS))
    entry = FORMATS[to]
    chosen = what or entry.whats[0]
    if chosen not in entry.whats:
        allowed = did_you_mean(chosen, entry.whats)
        raise RecipeError("--what", f"{to} does not hold {chosen!r}", allowed=allowed)
    return entry, chosen


def how_to_read(entry: Format, what: str, sequence_length: int, token_size: int) -> str:
    """How a trainer is to be set up for an export.

    Args:
        token_size: bytes of a token, 2 or 4.
    """
    text = entry.reads[what].replace("{size}", str(token_size))
    text = text.replace("{dtype}", f"uint{8 * token_size}")
    return text.replace("{T1}", str(sequence_length - 1)).replace("{T}", str(sequence_length))
