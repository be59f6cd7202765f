"""Pictures that clients send: the allowed ones become symbols, all others an error that their sender can read."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from ancestral.errors import InvalidRequest
from ancestral.images import decoding
from ancestral.images.decoding import decode_for_each, decode_picture
from ancestral.images.drawing import MAX_SIDE
from ancestral_models.spec import nearest_symbols
from tests import pngs
from tests.service.api.job_requests import check_envelope
from tests.service.images.pictures import Pixels, draw, image_of, noise, post, random_symbols, shown, visible, written
from tests.service.servers import Server
from tests.service.toys import ENCODED, PICTURES

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")
"""As in the service, whose own filter pytest takes out."""


def decode(data: bytes, model: str = "rgb") -> Pixels:
    return decode_picture(data, PICTURES[model], "file")[0]


def refusal(data: bytes, model: str = "rgb") -> str:
    """What the sender is told."""
    with pytest.raises(InvalidRequest) as caught:
        decode(data, model)
    error = caught.value
    assert (error.param, error.code) == ("file", "invalid_image")
    assert error.message.startswith("file: ")
    assert "0x" not in error.message
    assert "/" not in error.message
    return error.message


def test_a_file_is_decoded_once_for_all_models(monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [(PICTURES | ENCODED)[name] for name in ("grey", "rgb", "autoencoder", "portraits")]
    data, checked = written(noise("rgb")), list[bytes]()
    alone = [decode_picture(data, spec, "file") for spec in specs[1:]]
    monkeypatch.setattr(decoding, "_check_sums", checked.append)
    other_size, *seen = decode_for_each(data, specs, "file")
    assert (other_size, checked) == (None, [data])
    assert [(found[0].tobytes(), found[1]) for found in seen] == [(found[0].tobytes(), found[1]) for found in alone]


def test_many_colours_are_compared_in_little_memory() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (128, 128, 4), np.uint8)
    spec = Mock(palette=tuple(f"#{number * 65793:06x}" for number in range(256)), transparent=False)
    tracemalloc.start()
    symbols, _ = nearest_symbols(pixels, spec)
    assert tracemalloc.get_traced_memory()[1] < 40_000_000
    tracemalloc.stop()
    assert np.array_equal(symbols[..., 0], np.rint(pixels[..., :3].astype(np.float32).mean(axis=2)))


def png(width: int, height: int, data: bytes = b"", *, depth: int = 8, between: bytes = b"") -> bytes:
    """A PNG that says what it is told to say, with these compressed pixels."""
    return pngs.png(width, height, between, pngs.chunk(b"IDAT", data), pngs.chunk(b"IEND", b""), depth=depth)


def black(width: int, height: int) -> bytes:
    """The compressed pixels of a black PNG: a thousandth of what they become."""
    return zlib.compress(bytes((width * 3 + 1) * height), 9)


@cache
def moving(form: str) -> bytes:
    image = image_of(noise("rgb"))
    return written(image, form, save_all=True, append_images=[image_of(noise("rgb", seed=1))], duration=100)


@cache
def hostile() -> dict[str, tuple[bytes, str]]:
    """Files, and a word of what their senders are told."""
    image = image_of(noise("rgb"))
    whole, scans = written(image), written(image, "JPEG", progressive=True)
    data_at = whole.index(b"IDAT")
    broken = bytearray(whole)
    broken[data_at + 20] ^= 1
    wrong_sum = bytearray(whole)
    wrong_sum[whole.index(b"IEND") - 8] ^= 1
    wide = np.random.default_rng(0).integers(0, 65536, (6, 8)).astype(np.uint16)
    words = zlib.compress(b"".join(b"\0" + bytes(48) for _ in range(6)))
    texts = {
        "empty": b"", "text": b"no picture", "noise": np.random.default_rng(0).bytes(5000),
        "icns": b"icns" + bytes(100),
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='8' height='6'/>",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n", "wav": b"RIFF\x24\0\0\0WAVEfmt " + bytes(100),
    } | {form.lower(): written(image, form) for form in ("GIF", "TIFF", "BMP", "PPM", "ICO", "PDF")}  # fmt: skip
    sizes = {"too narrow": (7, 6), "on its side": (6, 8), "half": (4, 3), "twice as wide": (16, 6)}
    return {
        **{name: (data, "not a PNG") for name, data in texts.items()},
        **{name: (written(image.resize(size)), "the model's are 8 x 6") for name, size in sizes.items()},
        "png, its mark alone": (whole[:8], ""), "png, declared 10000 x 10000": (png(10000, 10000), "at most 4096"),
        "png, declared 60000 x 60000": (png(60000, 60000, black(8, 6)), "too many pixels; at most 4096"),
        "png, declared 2^31 x 2^31": (png(2**31 - 1, 2**31 - 1), "at most 4096"),
        "png, declared 0 x 0": (png(0, 0), ""), "png, too large": (png(4104, 3078, black(4104, 3078)), "at most 4096"),
        "png, 4096 x 4096": (png(4096, 4096, black(4096, 4096)), "or a multiple; of a sheet give one picture"),
        "png, more declared than there": (png(4096, 3072, black(8, 6)), "damaged"),
        "png, of text": (png(8, 6, black(8, 6), between=pngs.chunk(b"zTXt", b"a\0\0" + bomb())), "damaged"),
        "png, of profile": (png(8, 6, black(8, 6), between=pngs.chunk(b"iCCP", b"a\0\0" + bomb())), "damaged"),
        "png, changed": (bytes(broken), "damaged"), "png, wrong sum": (bytes(wrong_sum), "damaged"),
        "png, no data": (png(8, 6), "damaged"), "png, no end": (whole[:-12], "damaged"),
        "png, 16 bits": (written(Image.fromarray(wide)), "stored as I;16"), "png, moving": (moving("PNG"), "it moves"),
        "png, 48 bits": (png(8, 6, words, depth=16), "stored as RGB;16"), "webp, moving": (moving("WEBP"), "it moves"),
        "webp, too large": (large_webp(16383, 16383), "at most 4096"), "webp, too wide": (large_webp(2**24, 255), ""),
        "jpeg, cmyk": (written(image.convert("CMYK"), "JPEG"), "stored as CMYK"),
        "jpeg, of scans": (scans[:-2] + 100 * scans[scans.rindex(b"\xff\xda") : -2] + scans[-2:], "100 scans"),
        "jpeg, several": (written(image, "MPO", save_all=True, append_images=[image]), "it moves"),
    }  # fmt: skip


def bomb() -> bytes:
    """16 MB in 16 kB."""
    return zlib.compress(bytes(16 << 20), 9)


def large_webp(width: int, height: int) -> bytes:
    """A WebP that is said to have a canvas of this size; up to 16 GB."""
    frame = bytes(6) + (7).to_bytes(3, "little") + (5).to_bytes(3, "little") + bytes(4)
    frame += written(noise("rgb"), "WEBP", lossless=True)[12:]
    canvas = b"\x02\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    parts = ((b"VP8X", canvas), (b"ANIM", bytes(6)), (b"ANMF", frame))
    body = b"WEBP" + b"".join(name + struct.pack("<I", len(part)) + part for name, part in parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_pillow_keeps_its_own_limit_for_other_code_in_the_process() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None


@pytest.mark.parametrize("name", list(hostile()))
def test_a_refused_file_says_why(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    data, reason = hostile()[name]
    assert reason in refusal(data)
    assert capfd.readouterr() == ("", "")  # no library may write into the log by itself


def test_hostile_files_are_refused_over_http(server: Server) -> None:
    with server.unharmed():
        for data, _ in hostile().values():
            check_envelope(post(server, "completions", image=data), 400, "image")
        check_envelope(post(server, "likelihood", file=written(noise("rgb", 40))[:-100]), 400, "file")
        assert np.array_equal(draw(server), draw(server))


FORMS = [("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {}), ("WEBP", {"lossless": True})]


@pytest.mark.parametrize(("form", "options"), FORMS)
def test_a_file_cut_off_anywhere_is_refused(form: str, options: dict[str, bool]) -> None:
    data = written(noise("rgb", 4), form, **options)
    assert decode(data).shape == (6, 8, 3)
    spare = 4 if form == "PNG" else 0  # the checksum of the end itself
    for length in range(len(data) - spare):
        refusal(data[:length])


def test_a_changed_bit_in_a_png_is_noticed() -> None:
    data = written(noise("rgb"))
    end = data.index(b"IEND")
    for at in range(8, end - 4):
        damaged = bytearray(data)
        damaged[at] ^= 4
        refusal(bytes(damaged))


def test_what_a_library_warns_of_is_no_failure(server: Server) -> None:
    image, exif = noise("rgb"), Image.Exif()
    exif[0x010E] = "a picture"
    jpeg = written(image, "JPEG", quality=100, exif=exif)
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    corrupt_exif = jpeg.replace(b"\x01\x0e\x00\x02\x00\x00", b"\x01\x0e\x00\x02\xff\xff")
    invalid_apng = png(8, 6, zlib.compress(rows), between=pngs.chunk(b"acTL", bytes(8)))
    malformed_mpo = jpeg[:2] + b"\xff\xe2\x00\x20MPF\0" + bytes(26) + jpeg[2:]
    assert corrupt_exif != jpeg
    with server.unharmed():
        for data in (corrupt_exif, invalid_apng, malformed_mpo):
            assert post(server, "completions", image=data).status_code in (200, 400)


@pytest.mark.parametrize(("mode", "scale"), [(mode, 2) for mode in ("RGB", "L", "P", "1", "LA")] + [("RGBA", 512)])
def test_the_largest_and_every_mode(mode: str, scale: int) -> None:
    assert MAX_SIDE == 8 * 512
    image = image_of(noise("rgb")).convert(mode)
    large = image.resize((8 * scale, 6 * scale), Image.Resampling.NEAREST)
    assert np.array_equal(decode(written(large)), np.asarray(image.convert("RGB")))
    grey = image_of(noise("binary")).convert("RGB").convert(mode)
    assert np.array_equal(decode(written(grey), "binary"), random_symbols("binary"))


@pytest.mark.parametrize("scale", [2, 5])
@pytest.mark.parametrize("model", ["rgb", "binary", "grey", "diagonal"])
def test_a_larger_picture_is_averaged(model: str, scale: int) -> None:
    spec, large = PICTURES[model], noise(model, scale)
    cells = large.reshape(spec.height, scale, spec.width, scale, spec.channels).mean((1, 3))
    symbols = decode(written(large), model).astype(int)
    assert np.abs(symbols - cells).max() <= 0.6 if spec.levels == 256 else np.array_equal(symbols, cells > 127.4)
    exact = noise(model).repeat(scale, 0).repeat(scale, 1)
    assert np.array_equal(decode(written(exact), model), random_symbols(model))


def test_other_files_have_the_same_pixels() -> None:
    smooth = np.full((6, 8, 3), 90, np.uint8)
    assert np.array_equal(decode(written(smooth, "WEBP", lossless=True)), smooth)
    assert np.abs(decode(written(smooth, "JPEG", quality=100)).astype(int) - 90).max() <= 2


def test_pure_white_is_the_background_of_a_picture_without_transparency() -> None:
    symbols = random_symbols("palette")
    symbols[symbols == 3] = 0
    seen = visible("palette", symbols)
    flat = np.where(seen[..., 3:] == 0, np.uint8(255), seen)[..., :3]
    assert np.array_equal(decode(written(flat), "palette"), symbols)
    channel = np.dstack([flat, np.full_like(flat[..., 0], 255)])
    assert np.array_equal(decode(written(channel), "palette"), symbols), "nor one whose alpha channel says nothing"
    seen[0, 0] = (255, 255, 255, 255)
    assert decode(written(seen), "palette")[0, 0, 0] == 3, "in one with transparency it is white"


def test_what_is_transparent_lies_on_white() -> None:
    """By an alpha channel, by a palette, or by one colour."""
    image = Image.new("RGBA", (8, 6), (10, 20, 30, 255))
    image.paste((0, 0, 0, 0), (0, 0, 8, 3))
    one_colour = written(image.convert("RGB"), transparency=(0, 0, 0))
    for data in (written(image), written(image.quantize(4)), one_colour):
        symbols = decode(data)
        assert np.all(symbols[:3] == 255)
        assert np.all(symbols[3:] == (10, 20, 30))


def test_two_levels_part_at_the_middle() -> None:
    ramp = np.linspace(0, 255, 63).astype(np.uint8).reshape(9, 7, 1)
    assert np.array_equal(decode(written(ramp), "binary"), ramp >= 128)
    assert decode(written(np.full((18, 14, 1), 127, np.uint8)), "binary").max() == 0


def test_titles_and_profiles_are_passed_over() -> None:
    image, info = image_of(noise("rgb")), PngImagePlugin.PngInfo()
    info.add_text("Title", "a picture", zip=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side, somebody says
    data = written(image, pnginfo=info, exif=exif, icc_profile=b"no profile", dpi=(300, 300))
    assert np.array_equal(decode(data), noise("rgb"))


@cache
def samples() -> list[bytes]:
    """Allowed files, and moving ones."""
    image = image_of(noise("rgb", 2))
    exif, info = Image.Exif(), PngImagePlugin.PngInfo()
    exif[0x010E], exif[0x011A] = "a picture", 72.0
    info.add_text("a", "b" * 300, zip=True)
    forms: list[dict[str, Any]] = [
        {"pnginfo": info, "exif": exif, "icc_profile": bytes(100)}, {"form": "JPEG", "exif": exif},
        {"form": "JPEG", "progressive": True}, {"form": "WEBP", "exif": exif, "icc_profile": bytes(100)},
        {"form": "WEBP", "lossless": True}, {"form": "MPO", "save_all": True, "append_images": [image]},
    ]  # fmt: skip
    return [*(written(image, **one) for one in forms), written(image.quantize(16), transparency=3), moving("PNG"),
            moving("WEBP")]  # fmt: skip


def sealed(data: bytes) -> bytes:
    """A PNG with right checksums, without which no decoder is reached."""
    made, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4])
        if at + 12 + length > len(data):
            break
        made += pngs.chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + length])
        at += 12 + length
    return bytes(made + data[at:])


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A file with some of its bytes changed, taken out or put in; most changes hit its headers."""
    data = bytearray(draw(st.sampled_from(samples())))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, min(len(data), draw(st.sampled_from([30, 80, 300, 10_000])))))
        gone, new = draw(st.integers(0, 6)), draw(st.binary(max_size=6))
        data[at : at + gone] = new
    changed = bytes(data)
    return sealed(changed) if changed.startswith(b"\x89PNG") and draw(st.booleans()) else changed


MARKS = st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x40\0\0\0WEBPVP8L", png(8, 6)[:33]])


@settings(max_examples=300)
@given(data=mutated() | st.builds(bytes.__add__, MARKS, st.binary(max_size=2000)))
def test_damaged_files_are_decoded_or_refused(data: bytes) -> None:
    try:
        symbols = decode(data)
    except InvalidRequest:
        refusal(data)
    else:
        assert (symbols.shape, symbols.dtype) == ((6, 8, 3), np.uint8)


def test_the_largest_pictures_at_a_time(server: Server) -> None:
    large = png(4096, 3072, black(4096, 3072))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(server, "completions", image=large, rows=5), range(8)))
    assert all(not shown(answer)[0][:5].any() for answer in answers)
