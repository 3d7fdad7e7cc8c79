"""From a recipe's mix to stages: tokenizer, token stores of corpora and of buckets, and the mix.

Invariant: as in `assemble`; a corpus or bucket that the mix never reads has no token store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

from .mixing.buckets import corpus_of, part_name
from .recipe import Recipe
from .recipe_mix import Buckets, Mix, Temperature
from .stages.base import Stage
from .stages.buckets import BucketsStage, BucketStage, Cut
from .stages.documents import DocumentsStage
from .stages.mix import MixConfig, MixStage
from .stages.tokenizer import TokenizerStage
from .stages.tokens import EncodeStage, TokensStage

DEFAULT_EPOCHS = 4.0
"""Of a corpus that a mapping of max_epochs does not name."""


def products(
    recipe: Recipe, mix: Mix, documents: Mapping[str, DocumentsStage],
    shards: Mapping[str, tuple[str, ...]], valued: Callable[[str, str], Stage],
    lent: TokenizerStage | None,
) -> list[Stage]:  # fmt: skip
    """Tokenizer and mix, and with them the token stores that the mix reads.

    Args:
        valued: (corpus, signal) -> the stage whose alive rows are its documents, with the signal.
        lent: the tokenizer to use instead of the recipe's own.
    """
    weighted = [
        corpus for corpus in documents
        if not mix.steps or any(step.weights[corpus] > 0 for step in mix.steps)
    ]  # fmt: skip
    library = version("tokenizers")
    tokenizer = lent or _tokenizer(recipe, weighted, documents, shards, library)
    stores: list[TokensStage] = []
    for corpus in weighted:
        encode = EncodeStage(
            f"{corpus}.encode", corpus=corpus, documents=documents[corpus], tokenizer=tokenizer,
            library=library,
        )  # fmt: skip
        encoded: list[EncodeStage] = [encode]
        cut = (mix.buckets or {}).get(corpus)
        if cut is not None:
            encoded = _buckets(cut, encode, valued(corpus, cut.by), shards[corpus])
        stores += [
            TokensStage(
                f"{part.part}.tokens", corpus=corpus, encode=part,
                sequence_length=mix.sequence_length, shards=shards[corpus],
            )
            for part in encoded
        ]  # fmt: skip
    return [tokenizer, MixStage("mix", stores=tuple(stores), config=mix_config(mix, stores))]


def _buckets(
    cut: Buckets, encode: EncodeStage, valued: Stage, shards: tuple[str, ...]
) -> list[EncodeStage]:
    """Of every bucket that is read, its encoded documents."""
    corpus = str(encode.corpus)
    made = Cut(
        cut.by, cut.edges, tuple(Fraction(str(share)) for share in cut.quantiles or ()),
        cut.on_null,
    )  # fmt: skip
    buckets = BucketsStage(
        f"{corpus}.buckets", corpus=corpus, above=valued, cut=made, shards=shards
    )
    return [
        BucketStage(f"{part_name(corpus, n)}.encode", whole=encode, buckets=buckets, number=n)
        for n, times in enumerate(cut.times)
        if times > 0
    ]


def _tokenizer(
    recipe: Recipe, weighted: list[str], documents: Mapping[str, DocumentsStage],
    shards: Mapping[str, tuple[str, ...]], library: str,
) -> TokenizerStage:  # fmt: skip
    path, train = recipe.tokenizer.path, recipe.tokenizer.training
    return TokenizerStage(
        "tokenizer", above=tuple(documents[corpus] for corpus in weighted),
        path=Path(path) if path else None, vocab=train.vocab, max_bytes=train.max_bytes,
        eos=recipe.tokenizer.eos, library=library,
        shards=tuple(f"{name}/{shard}" for name in weighted for shard in shards[name]),
    )  # fmt: skip


def mix_config(mix: Mix, stores: list[TokensStage]) -> MixConfig:
    """The mix in exact numbers, over what has a part in it."""
    parts = [store.encode.part for store in stores]
    corpora = list(dict.fromkeys(map(corpus_of, parts)))
    steps = tuple(
        (
            Fraction(str(step.until)),
            {corpus: Fraction(str(step.weights[corpus])) for corpus in corpora},
        )
        for step in mix.steps
    )
    sampler: str | Fraction | None = (
        Fraction(str(mix.sampler.temperature))
        if isinstance(mix.sampler, Temperature)
        else mix.sampler
    )
    epochs = mix.max_epochs if isinstance(mix.max_epochs, dict) else None
    return MixConfig(
        tokens=mix.tokens,
        sequence_length=mix.sequence_length,
        steps=steps,
        sampler=sampler,
        max_epochs={
            part: Fraction(
                str(epochs.get(corpus_of(part), DEFAULT_EPOCHS) if epochs else mix.max_epochs)
            )
            for part in parts
        },
        on_short=mix.on_short,
        seed=mix.seed,
        times={
            part_name(corpus, n): Fraction(str(times))
            for corpus, cut in (mix.buckets or {}).items()
            for n, times in enumerate(cut.times)
            if part_name(corpus, n) in parts
        },
    )
