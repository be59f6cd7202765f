"""The answer of ``POST /v1/detect``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ancestral.service.jobs.schemas import Described, Seed

Why = Field(default=None, description="Why it could not be tried.")


class SignaturePart(Described):
    """The C2PA manifest in the file."""

    status: Literal["valid", "invalid", "none", "not_tried"]
    reason: str | None = Why
    trusted: bool | None = None
    """Whether the certificate is one that this server trusts."""
    altered: bool | None = None
    """Whether the media was changed after it was signed."""
    signer: str | None = None
    """Whom the certificate names: a claim, unless it is trusted."""
    generator: str | None = None
    """The program that made the claim."""
    source: str | None = None
    """How the media came about, in IPTC's words."""
    problems: list[str] | None = None
    """C2PA's codes of what failed."""


class RecipePart(Described):
    """The recipe, given or in the file, sampled again."""

    status: Literal["equal", "differs", "not_tried"]
    reason: str | None = Why
    pixels: int | None = None
    equal_pixels: int | None = None
    samples: int | None = None
    correlation: float | None = None
    """Of two sounds, at the best offset."""


class SeedPart(Described):
    """The noise in the symbols, tested against seeds: those that are named, then those of the server's key."""

    status: Literal["found", "not_found", "not_tried"]
    reason: str | None = Why
    p_value: float | None = None
    """An upper bound of the probability that a file that has nothing to do with these seeds fits as well, multiplied by
    the trials; not below 1e-300. `found` is below 1e-6."""
    log10_p: float | None = None
    """The same as its decimal logarithm, without that limit."""
    seeds_tried: int | None = None
    shifted_seeds_tried: int | None = None
    """Of sound: those tried at every offset."""
    trials: int | None = None
    """What p was multiplied by."""
    counters: list[int] | None = None
    """The oldest and the newest counter that was tried."""
    complete: bool | None = None
    """Whether the search came to its end in time."""
    symbols: int | None = None
    """Sub-pixels or samples that were tested."""
    agreeing: int | None = None
    """Sub-pixels to which the noise of the seed leads."""
    exact: bool | None = None
    """Whether it leads to all of them."""
    model: str | None = None
    seed: Seed | None = None
    """Of the picture, or of the request that made the sound."""
    part: int | None = None
    """Which picture or sentence of a request it is, from 0."""
    counter: int | None = None
    """Of the server's key, of a seed that a search has found."""
    offset_seconds: float | None = None
    """Where the sentence begins in the recording."""
    agreement: list[list[float | None]] | list[float] | None = None
    """Of pictures: bits by which each pixel speaks for the seed, below 0 where it does not fit. Of sound: the
    correlation of each tenth of a second with the noise, in standard deviations."""
    agreement_seconds: float | None = None


class ModelPart(Described):
    """How likely the file is under the model."""

    status: Literal["could_be_ours", "unlikely", "not_tried"]
    reason: str | None = Why
    model: str | None = None
    bits_per_symbol: float | None = None
    lossless_bits_per_symbol: float | None = None
    """Deflated, as in a PNG; of sound 8."""


class Detection(Described):
    """Whether a file was made here, and what says so."""

    signature: SignaturePart
    recipe: RecipePart
    seed: SeedPart
    model: ModelPart
    verdict: Literal["made_here", "made_with_model", "signed", "could_be_ours", "no_evidence"]
    """`made_here`: with a seed of this server's key, or signed with its certificate. `made_with_model`: with a model
    that is here and the seed that was named, by whomever. `signed`: the signature is valid. `could_be_ours`: nothing
    but a likelihood says so. `no_evidence`: which does not mean that it was not made here."""
