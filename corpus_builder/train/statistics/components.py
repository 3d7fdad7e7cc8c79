"""One difference in bits per byte, and its variance split into seeds, documents and the rest.

With y_sd the difference in bits (arm - base) of seed s on document d of m_d bytes, M = sum m_d:

    R_s = sum_d y_sd / M                    one seed's difference, a ratio estimate
    u_sd = (y_sd - R_s m_d) / (M - m_d)     its jackknife deviations, centred over documents
    A = var_s(R_s) / S                      seeds + rest/n
    B = (n-1)/n * sum_d (mean_s u_sd)^2     documents + rest/S
    C = (n-1)/n * sum_sd (u_sd - mean_s u_sd)^2 / (S (S-1))            rest alone

Invariant: A estimates everything a new draw of seeds varies, B - C what only new documents vary;
A + (B - C) counts each once. This is the two-way random-effects analysis of readers x cases
(Dorfman, Berbaum & Metz 1992; Hillis 2007, Stat. Med. 26:596) on a ratio's jackknife (Cochran 1977,
Sampling Techniques, 6.17), and two-way clustering (Cameron, Gelbach & Miller 2011) for a ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpus_builder.train.statistics.distributions import Floats


@dataclass(frozen=True)
class Part:
    """One corpus' share of a target.

    Attributes:
        differences: bits of the arm - bits of the base, (..., seeds, documents).
        bytes: bytes of the documents' original text, (..., documents), all > 0.
        weight: of this corpus' bits per byte in the target.
    """

    differences: Floats
    bytes: Floats
    weight: float = 1.0


@dataclass(frozen=True)
class Estimate:
    """A target's difference in bits per byte, with its variance by cause.

    Attributes:
        value: (...), negative where the arm is better.
        variances: (..., 1 + parts): of `value`; seeds first, then each part's documents.
        df: (..., 1 + parts): degrees of freedom of each of them.
    """

    value: Floats
    variances: Floats
    df: Floats


def estimate(parts: Sequence[Part]) -> Estimate:
    """The weighted difference over corpora; corpora share seeds, their documents are independent.

    Leading axes are replicates (simulations use them). At least 2 seeds and 2 documents a part.
    """
    weights = np.array([part.weight for part in parts])
    per_seed = np.tensordot(weights, np.stack([_per_seed(part) for part in parts]), 1)
    seeds = per_seed.shape[-1]
    both, rest, df = (np.stack(each, -1) for each in zip(*map(_documents, parts), strict=True))
    of_seeds = np.maximum(per_seed.var(-1, ddof=1) / seeds, (weights**2 * rest).sum(-1))
    of_documents = weights**2 * np.maximum(both - rest, 0.0)
    return Estimate(
        value=np.asarray(per_seed.mean(-1)),
        variances=np.concatenate([of_seeds[..., None], of_documents], -1),
        df=np.concatenate([np.full_like(of_seeds, seeds - 1)[..., None], df], -1),
    )


def _per_seed(part: Part) -> Floats:
    return np.asarray(part.differences.sum(-1) / part.bytes.sum(-1)[..., None])


def _documents(part: Part) -> tuple[Floats, Floats, Floats]:
    """B, C and the df of B, each (...)."""
    seeds, n = part.differences.shape[-2:]
    size, total = part.bytes[..., None, :], part.bytes.sum(-1)[..., None, None]
    deviations = (part.differences - _per_seed(part)[..., None] * size) / (total - size)
    deviations = deviations - deviations.mean(-1, keepdims=True)
    mean = deviations.mean(-2)
    rest = ((deviations - mean[..., None, :]) ** 2).sum((-2, -1))
    return (
        (n - 1) / n * (mean**2).sum(-1),
        (n - 1) / n * rest / (seeds * (seeds - 1)),
        _variance_df(mean),
    )


def _variance_df(deviations: Floats) -> Floats:
    """Degrees of freedom of a variance estimated from n deviations: 2 n / (kurtosis - 1).

    Equal to 2 E(V)^2 / var(V) (Cramer 1946, 27.4); n for normal deviations (capped at n - 1), and a
    handful where few documents carry the sum, by their length or by an outlying difference.
    """
    n = deviations.shape[-1]
    square = (deviations**2).sum(-1)
    fourth = (deviations**4).sum(-1)
    kurtosis = np.divide(n * fourth, square**2, out=np.full_like(square, 3.0), where=square > 0)
    return np.asarray(np.minimum(2 * n / np.maximum(kurtosis - 1, 2.0), n - 1))
