"""The answer of ``POST /v1/detect``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from ancestral.service.jobs.schemas import Seed

Why = Field(default=None, description="Why it could not be tried.")


class SignaturePart(BaseModel):
    """The C2PA manifest in the file."""

    status: Literal["valid", "invalid", "none", "not_tried"]
    reason: str | None = Why
    trusted: bool | None = Field(default=None, description="Whether the certificate is one that this server trusts.")
    altered: bool | None = Field(default=None, description="Whether the media was changed after it was signed.")
    signer: str | None = Field(default=None, description="Whom the certificate names: a claim, unless it is trusted.")
    generator: str | None = Field(default=None, description="The program that made the claim.")
    source: str | None = Field(default=None, description="How the media came about, in IPTC's words.")
    problems: list[str] | None = Field(default=None, description="C2PA's codes of what failed.")


class RecipePart(BaseModel):
    """The recipe, given or in the file, sampled again."""

    status: Literal["equal", "differs", "not_tried"]
    reason: str | None = Why
    pixels: int | None = None
    equal_pixels: int | None = None
    samples: int | None = None
    correlation: float | None = Field(default=None, description="Of two sounds, at the best offset.")


class SeedPart(BaseModel):
    """The noise in the symbols, tested against seeds: those that are named, then those of the server's key."""

    status: Literal["found", "not_found", "not_tried"]
    reason: str | None = Why
    p_value: float | None = Field(
        default=None,
        description="An upper bound of the probability that a file that has nothing to do with these seeds fits as "
        "well, multiplied by the trials; not below 1e-300. `found` is below 1e-6.",
    )
    log10_p: float | None = Field(default=None, description="The same as its decimal logarithm, without that limit.")
    seeds_tried: int | None = None
    shifted_seeds_tried: int | None = Field(default=None, description="Of sound: those tried at every offset.")
    trials: int | None = Field(default=None, description="What p was multiplied by.")
    counters: list[int] | None = Field(default=None, description="The oldest and the newest counter that was tried.")
    complete: bool | None = Field(default=None, description="Whether the search came to its end in time.")
    symbols: int | None = Field(default=None, description="Sub-pixels or samples that were tested.")
    agreeing: int | None = Field(default=None, description="Sub-pixels to which the noise of the seed leads.")
    exact: bool | None = Field(default=None, description="Whether it leads to all of them.")
    model: str | None = None
    seed: Seed | None = Field(default=None, description="Of the picture, or of the request that made the sound.")
    part: int | None = Field(default=None, description="Which picture or sentence of a request it is, from 0.")
    counter: int | None = Field(default=None, description="Of the server's key, of a seed that a search has found.")
    offset_seconds: float | None = Field(default=None, description="Where the sentence begins in the recording.")
    agreement: list[list[float | None]] | list[float] | None = Field(
        default=None,
        description="Of pictures: bits by which each pixel speaks for the seed, below 0 where it does not fit. Of "
        "sound: the correlation of each tenth of a second with the noise, in standard deviations.",
    )
    agreement_seconds: float | None = None


class ModelPart(BaseModel):
    """How likely the file is under the model."""

    status: Literal["could_be_ours", "unlikely", "not_tried"]
    reason: str | None = Why
    model: str | None = None
    bits_per_symbol: float | None = None
    lossless_bits_per_symbol: float | None = Field(default=None, description="Deflated, as in a PNG; of sound 8.")


class Detection(BaseModel):
    """Whether a file was made here, and what says so."""

    signature: SignaturePart
    recipe: RecipePart
    seed: SeedPart
    model: ModelPart
    verdict: Literal["made_here", "made_with_model", "signed", "could_be_ours", "no_evidence"] = Field(
        description="`made_here`: with a seed of this server's key. `made_with_model`: with a model that is here and "
        "the seed that was named, by whomever. `signed`: the signature is valid. `could_be_ours`: nothing but a "
        "likelihood says so. `no_evidence`: which does not mean that it was not made here."
    )
