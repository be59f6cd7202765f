"""What details add to pictures: codes that are alike where details look alike."""

from __future__ import annotations

from itertools import product

import numpy as np

from ancestral.models.architectures.pixelcnn import PixelCNNSpec
from ancestral.training.data.images import Pictures
from ancestral.training.details import detail_codes

DETAILS = (("hat", ("class",), ("low", "high", "higher", "none")), ("boots", ("class",), ("left", "right")))
SPEC = PixelCNNSpec(
    height=4, width=4, channels=1, levels=256, attributes=(("class", ("doll",)),), conditioning="class",
    details=DETAILS, detail_rows=6,
)  # fmt: skip


def dolls() -> Pictures:
    """Every hat with every boots, many times, with a little noise."""
    rng, worn = np.random.default_rng(0), np.array(list(product(range(4), range(2))) * 40)
    images = rng.integers(0, 20, (len(worn), 4, 4, 1)).astype(np.uint8)
    for image, (hat, boots) in zip(images, worn, strict=True):
        image[0] += np.array([60, 200, 205, 0], np.uint8)[hat]
        image[3, boots * 2 : boots * 2 + 2] += 150
    return Pictures(images, np.zeros((len(worn), 1), np.int64), details=worn)


def test_details_that_look_alike_have_codes_that_are_alike() -> None:
    codes = detail_codes(dolls(), SPEC, 6)
    assert (codes.shape, codes.dtype) == ((8, 6), np.float32)
    low, high, higher, none, any_hat, left, right, any_boots = codes
    assert not any_hat.any()
    assert not any_boots.any()

    def apart(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.linalg.norm(one - other))

    assert apart(high, higher) < 0.5 * min(apart(high, low), apart(low, none), apart(left, right))
    assert np.allclose(left, -right, atol=0.1 * np.abs(left).max()), "what both add is in the mean"
    assert np.array_equal(codes, detail_codes(dolls(), SPEC, 6))


def test_more_channels_than_details_are_zero() -> None:
    codes = detail_codes(dolls(), SPEC, 20)
    assert codes.shape == (8, 20)
    assert not codes[:, 8:].any()
    assert 0.2 < codes.std() < 0.4
