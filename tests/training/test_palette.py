"""Palettes: exact for few colours, near for many, the same for the same pictures; transparency is kept."""

from __future__ import annotations

import numpy as np

from ancestral.training.corpora.palette import make_palette, to_indices


def rgba(colours: np.ndarray) -> np.ndarray:
    """``[N, 1, W, 4]``, opaque."""
    return np.concatenate([colours, np.full((*colours.shape[:-1], 1), 255, np.uint8)], axis=-1)


def test_few_colours_are_kept_exactly() -> None:
    colours = np.array([[[[9, 9, 9], [200, 0, 0], [0, 0, 90], [9, 9, 9]]]], np.uint8)
    palette = make_palette(rgba(colours), 255)
    assert palette.tolist() == [[9, 9, 9], [0, 0, 90], [200, 0, 0]]
    assert np.array_equal(palette[to_indices(colours, rgba(palette))], colours)


def test_many_colours_become_near_ones() -> None:
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 240, (40, 3))
    colours = (centres[rng.integers(0, 40, (8, 16, 16))] + rng.integers(0, 6, (8, 16, 16, 3))).astype(np.uint8)
    palette = make_palette(rgba(colours), 64)
    assert palette.shape == (64, 3)
    errors = colours.astype(float) - palette[to_indices(colours, rgba(palette))]
    assert np.abs(errors).max() < 12.0
    assert (errors**2).mean() < 6.0, "uniform over 0 … 5 around its mean has 2.9 at the best"
    assert np.array_equal(make_palette(rgba(colours), 64), palette)


def test_a_rare_colour_keeps_an_entry() -> None:
    colours = np.zeros((1, 100, 100, 3), np.uint8)
    colours[..., 1] = np.random.default_rng(0).integers(0, 200, (100, 100))
    colours[0, 0, :2] = (250, 60, 200)
    assert [250, 60, 200] in make_palette(rgba(colours), 32).tolist()


def test_transparent_pixels_get_the_transparent_entry_and_do_not_count() -> None:
    images = rgba(np.array([[[[1, 2, 3], [7, 7, 7], [1, 2, 3]]]], np.uint8))
    images[0, 0, 1, 3] = 0
    palette = make_palette(images, 255)
    assert palette.tolist() == [[1, 2, 3]]
    with_transparency = np.concatenate([np.zeros((1, 4), np.uint8), rgba(palette)])
    assert to_indices(images, with_transparency).tolist() == [[[1, 0, 1]]]


def test_the_background_is_kept_exactly() -> None:
    colours = np.random.default_rng(0).integers(180, 256, (1, 60, 60, 3), np.uint8)
    colours[0, 30:] = 255
    assert make_palette(rgba(colours), 8).max() < 255
    palette = make_palette(rgba(colours), 8, background=(255, 255, 255))
    assert palette[-1].tolist() == [255, 255, 255]
    assert palette.shape == (8, 3)
