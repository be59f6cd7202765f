"""Damaged and hostile manifests: refused with the field's name, or read as what they are; no crash, no network."""

import random
import socket
import struct
import threading
import zlib

import pytest

from ancestral.errors import InvalidRequest
from ancestral.provenance.c2pa import ingredient_of, read, sign
from tests.library.provenance.support import CLAIM, PICTURES, SOUNDS, file_of, media_type, trial_signer

INSIDE = (*SOUNDS, "m4b", *PICTURES)
C2PA = b"c2pa" + bytes.fromhex("00110010800000AA00389B71")


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("signed")
    signer = trial_signer(directory / "keys")
    return {form: sign(file_of(form, directory), media_type(form), CLAIM, signer) for form in INSIDE}


def box(name, content, size=None):
    return struct.pack(">I4s", len(content) + 8 if size is None else size, name) + content


def superbox(label, content, kind=C2PA):
    return box(b"jumb", box(b"jumd", kind + b"\x03" + label + b"\0") + content)


def nested(depth):
    """Boxes inside each other."""
    head, inner, heads = box(b"jumd", C2PA + b"\x03x\0"), 0, list[bytes]()
    for _ in range(depth):
        inner += 8 + len(head)
        heads.append(struct.pack(">I4s", inner, b"jumb") + head)
    return b"".join(reversed(heads))


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(name, content):
    """A PNG of one pixel with one more chunk."""
    pixel = chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
        + chunk(name, content)
        + pixel
    )


def with_manifest(*parts):
    """A manifest whose claim, signature and assertions are as given."""
    names = {b"c2pa.claim.v2": b"c2cl", b"c2pa.signature": b"c2cs", b"c2pa.assertions": b"c2as"}
    boxes = b"".join(superbox(label, content, names[label] + C2PA[4:]) for label, content in parts)
    manifest = superbox(b"urn:c2pa:8de05d95-4c09-42ee-ad56-e220010dd8bb", boxes, b"c2ma" + C2PA[4:])
    return png(b"caBX", superbox(b"c2pa", manifest))


ARRAYS = b"\x81" * 100_000 + b"\0"
HUGE = b"\x9b" + struct.pack(">Q", 1 << 40)
MANIFESTS = {
    "no box": png(b"caBX", b"x" * 100),
    "4 GB declared": png(b"caBX", box(b"jumb", b"a" * 100, 0xFFFFFFFF)),
    "4 EB declared": png(b"caBX", struct.pack(">I4sQ", 1, b"jumb", 1 << 62) + b"a" * 100),
    "empty store": png(b"caBX", superbox(b"c2pa", b"")),
    "100 000 boxes deep": png(b"caBX", superbox(b"c2pa", nested(100_000))),
    "20 000 boxes": png(b"caBX", superbox(b"c2pa", superbox(b"x", box(b"json", b"{}")) * 20_000)),
    "of another kind": png(b"caBX", superbox(b"c2pa", superbox(b"foreign", box(b"bidb", b"\0" * 1000)))),
    "CBOR 100 000 deep": with_manifest(
        *((label, box(b"cbor", ARRAYS)) for label in (b"c2pa.claim.v2", b"c2pa.signature", b"c2pa.assertions"))
    ),
    "CBOR of 2^40 items": with_manifest(
        (b"c2pa.assertions", b""), (b"c2pa.claim.v2", box(b"cbor", HUGE)), (b"c2pa.signature", box(b"cbor", HUGE))
    ),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_that_cannot_be_read_is_refused_and_names_the_field(case):
    for reader in (lambda data: read(data, "image/png", param="image"), lambda data: ingredient_of(data, "image")):
        with pytest.raises(InvalidRequest, match="image: its C2PA manifest cannot be read") as caught:
            reader(MANIFESTS[case])
        assert (caught.value.param, caught.value.code) == ("image", "invalid_manifest")
        assert len(caught.value.message) < 300


@pytest.mark.parametrize("form", INSIDE)
def test_a_truncated_file_is_never_valid(form, signed):
    data = signed[form]
    for size in [*range(0, len(data), max(1, len(data) // 150)), len(data) - 1]:
        assert not _valid(data[:size], form), size


@pytest.mark.parametrize("form", INSIDE)
def test_random_damage_is_never_taken_for_the_original(form, signed):
    """Bytes, sizes of 4 GB and counts of 2^62, all over the manifest: a changed claim or recipe is never valid."""
    data, source = signed[form], random.Random(form)
    start = data.index(b"jumb") - 4
    end = start + int.from_bytes(data[start : start + 4])
    recipe = read(data, media_type(form))
    for _ in range(300):
        changed, at = bytearray(data), source.randrange(start, end - 9)
        new = source.choice(
            [
                bytes([source.randrange(256)]),
                b"\xff" * 4,
                b"\x7f\xff\xff\xff",
                b"\0" * 4,
                b"\x9b" + b"\x3f" + b"\xff" * 7,
            ]
        )
        changed[at : at + len(new)] = new
        try:
            report = read(bytes(changed), media_type(form))
        except InvalidRequest as error:
            assert error.param == "file"  # noqa: PT017 - not every damage raises
            continue
        if report is not None and report.valid:
            assert report == recipe


LINK = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="{}"/></rdf:RDF></x:xmpmeta>"""


@pytest.fixture
def visited():
    """A port, and what connected to it sent."""
    sent = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            try:
                while True:
                    with server.accept()[0] as client:
                        sent.append(client.recv(1024))
            except OSError:
                return

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()[1], sent
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_a_manifest_that_is_only_linked_to_is_not_fetched(visited):
    port, sent = visited
    xmp = LINK.format(f"http://127.0.0.1:{port}/manifest.c2pa")
    assert read(png(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp.encode()), "image/png") is None
    assert sent == []
    socket.create_connection(("127.0.0.1", port)).close()  # the port is the one that would have been visited


def test_entities_in_xmp_are_not_expanded():
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "a" * 10}">' for n in range(12))
    xmp = f'<?xml version="1.0"?><!DOCTYPE x [{entities}]>' + LINK.format("&a11;http://127.0.0.1:9/x")
    assert read(png(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp.encode()), "image/png") is None


@pytest.mark.parametrize(
    ("form", "name", "order"), [("wav", b"C2PA", "<I"), ("webp", b"C2PA", "<I"), ("png", b"caBX", ">I")]
)
def test_a_chunk_that_declares_4_gb_is_refused(form, name, order, signed):
    data = signed[form]
    at = data.index(name) + (-4 if form == "png" else 4)
    with pytest.raises(InvalidRequest, match="file: its C2PA manifest cannot be read"):
        read(data[:at] + struct.pack(order, 0xFFFFFFFF) + data[at + 4 :], media_type(form))


def test_a_file_of_another_kind_than_it_says_is_read_as_what_it_is(signed):
    report = read(signed["png"], "audio/wav")
    assert report is not None
    assert report.valid


def test_nothing_is_written(signed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for form in INSIDE:
        read(signed[form], media_type(form))
        ingredient_of(signed[form], "file")
    assert list(tmp_path.iterdir()) == []


def _valid(data, form):
    try:
        report = read(data, media_type(form))
    except InvalidRequest:
        return False
    return report is not None and report.valid
