"""Palettes that pictures are put into: names, files, colours, and which of them is the nearest."""

import numpy as np
import pytest
from PIL import GimpPaletteFile

from ancestral.errors import InvalidRequest
from ancestral.images import palettes
from ancestral.images.pixels import BatchDecoder
from tests.service.toys import PICTURES

GIMP = (
    b"GIMP Palette\nName: Two\nColumns: 2\n# a comment\n\n255 128   0\tOrange\n  0 0 7 Night blue\n255 128 0\tAgain\n"
)


@pytest.mark.parametrize(
    "data",
    [
        GIMP, GIMP.replace(b"\n", b"\r\n"), b"GIMP Palette\r\nChannels: RGBA\n255 128 0 255 Orange\n0 0 7 255",
        b"ff8000\n000007\n", b"\xef\xbb\xbf#FF8000\r\n\r\n#000007",
    ],
)  # fmt: skip
def test_files_of_gimp_and_lospec(data, tmp_path):
    assert palettes.read_palette(data) == ("#ff8000", "#000007")
    (tmp_path / "two.gpl").write_bytes(data)
    assert palettes.check_palette(tmp_path / "two.gpl") == ("#ff8000", "#000007")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has 0 colours"),
        (b"ff8000\n", "has 1 colours"),
        (b"GIMP Palette\n1 1 1\n1 1 1\n", "has 1 colours"),
        (b"GIMP Palette\n256 0 0\n", "line 2 of the file is not a colour like 255 128 0"),
        (b"GIMP Palette\n-1 0 0\n", "line 2 of the file"),
        (b"GIMP Palette\n1 2\n", "line 2 of the file"),
        (b"GIMP Palette\n" + b"9" * 5000 + b" 0 0\n", "line 2 of the file"),
        ("GIMP Palette\n\N{ARABIC-INDIC DIGIT ONE} 0 x\n".encode(), "line 2 of the file"),
        (b"ff8000\nff80\n", "line 2 of the file is not a colour like ff8000"),
        (b"ff8000ff\n", "line 1 of the file"),
        (b"\x89PNG\r\n\x1a\n", "is not text"),
        (b"ff8000\x00", "line 1 of the file"),
        (
            b"".join(b"%06x\n" % number for number in range(palettes.MAX_COLOURS + 1)),
            "has 256 colours; 2 to 255 are taken",
        ),
        (b"#" * ((64 << 10) + 1), "has more than 64 KiB"),
        (b"GIMP Palette\n" + b"#\n" * (32 << 10), "has more than 64 KiB"),
    ],
)
def test_hostile_files_are_refused(data, message, tmp_path):
    (tmp_path / "bad.hex").write_bytes(data)
    with pytest.raises(InvalidRequest, match=message) as refused:
        palettes.check_palette(tmp_path / "bad.hex")
    assert refused.value.param == "palette"


@pytest.mark.parametrize(
    ("palette", "message"),
    [
        ("amiga", "no palette is called 'amiga'; there are 1-bit, game-boy"), ("palette.gpl", "no palette is called"),
        (["#ffffff", "white"], "'white' is not a colour"), (["#ffffff", "#fff"], "'#fff' is not a colour"),
        (["#ffffff", "#FFFFFF"], "has 1 colours"), (7, "must be a name, a file or a list of colours"),
    ],
)  # fmt: skip
def test_others_are_refused(palette, message):
    with pytest.raises(InvalidRequest, match=message):
        palettes.check_palette(palette)


def test_the_named_ones():
    assert {name: len(colours) for name, colours in palettes.PALETTES.items()} == {
        "1-bit": 2, "game-boy": 4, "pico-8": 16, "db16": 16, "db32": 32,
    }  # fmt: skip
    for name, colours in palettes.PALETTES.items():
        assert palettes.check_palette(name) == name
        assert palettes.check_palette(colours) == colours
        assert np.array_equal(
            palettes.nearest(palettes.colours_of(name), palettes.colours_of(name)), np.arange(len(colours))
        )


def test_what_is_written_is_read_by_others_and_here():
    colours = np.array([[0, 0, 0, 0], [1, 20, 255, 255], [0, 0, 0, 255]], np.uint8)
    data = palettes.write_palette("mine", colours)
    assert palettes.read_palette(data) == ("#0114ff", "#000000")
    assert GimpPaletteFile.GimpPaletteFile.frombytes(data).palette == bytes([1, 20, 255, 0, 0, 0])


def test_the_nearest_is_the_one_that_looks_nearest():
    """By the values of OKLab: black 0, blue 0.452, red 0.628, green 0.866, white 1 in lightness."""
    grey = np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1)
    found = palettes.nearest(grey, np.array([[0, 0, 0], [255, 255, 255]], np.uint8))
    assert found.tolist() == [0] * 100 + [1] * 156, "lightness 0.5 is a linear 0.125, 99.07 of 255 in sRGB"
    # In RGB dark violet is as near to black as to blue; who sees it says blue.
    colours = np.array([[0, 0, 0], [0, 0, 255], [255, 255, 255]], np.uint8)
    assert palettes.nearest(np.array([[60, 0, 126]], np.uint8), colours).tolist() == [1]


@pytest.mark.parametrize("name", ["rgb", "grey", "binary", "palette"])
@pytest.mark.parametrize("transparent", [False, True])
def test_every_pixel_gets_the_nearest_colour_and_transparent_ones_stay(name, *, transparent):
    spec = PICTURES[name]
    if transparent and not spec.transparent:
        return
    symbols = np.random.default_rng(1).integers(0, spec.levels, (spec.height, 2, spec.width, spec.channels))
    plain = BatchDecoder(spec, 2, transparent=transparent)
    mapped = BatchDecoder(spec, 2, transparent=transparent, palette="pico-8")
    rows = mapped(symbols.astype(np.uint8))
    before, after = plain(symbols.astype(np.uint8)), mapped.pixels
    assert np.array_equal(rows.swapaxes(0, 1), after)
    assert after.shape[3] == (4 if transparent else 3)
    colours = palettes.colours_of("pico-8")
    seen = np.broadcast_to(before[..., :3], (*before.shape[:3], 3)).swapaxes(0, 1)
    expected = colours[palettes.nearest(np.ascontiguousarray(seen), colours)]
    hidden = before.swapaxes(0, 1)[..., 3] == 0 if transparent else np.zeros(seen.shape[:3], bool)
    assert hidden.any() == transparent
    assert np.array_equal(after[..., :3][~hidden], expected[~hidden])
    if transparent:
        assert np.array_equal(after[..., 3] == 0, hidden)
    assert np.array_equal(mapped.colours[mapped.indices(mapped.symbols)[..., 0]][..., : after.shape[3]], after)
