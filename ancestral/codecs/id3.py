"""ID3v2.4 tags, which stand before the frames of an MP3 (libsndfile writes ID3v1, at the end, cut to 30 characters)."""

from __future__ import annotations

from ancestral.codecs.base import Tags

_UTF8 = b"\x03"


def id3(tags: Tags) -> bytes:
    """The bytes of a tag with ``title`` and ``comment``; none without tags."""
    frames = b""
    if "title" in tags:
        frames += _frame(b"TIT2", _UTF8 + tags["title"].encode())
    if "comment" in tags:
        language, description = b"eng", b"\0"
        frames += _frame(b"COMM", _UTF8 + language + description + tags["comment"].encode())
    return b"ID3\x04\x00\x00" + _size(len(frames)) + frames if frames else b""


def _frame(name: bytes, data: bytes) -> bytes:
    flags = b"\0\0"
    return name + _size(len(data)) + flags + data


def _size(number: int) -> bytes:
    """28 bits in four bytes whose highest bits are 0."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
