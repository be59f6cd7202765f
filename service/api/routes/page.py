"""``GET /``: the page. Its files, in ``service/api/web/page``, need no build step and load nothing from elsewhere."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Final

from fastapi import APIRouter, Header
from fastapi.responses import Response

from ancestral.errors import NotFound
from ancestral.service.api.http.etags import IfNoneMatch, not_modified
from ancestral.service.api.http.page_policy import page_policy

router = APIRouter(include_in_schema=False)

_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX: Final = "index.html"
_POLICY: Final = page_policy("'self' blob:")


@dataclass(frozen=True)
class _File:
    """One file of the page, ready to be sent."""

    data: bytes
    compressed: bytes
    etag: str
    media_type: str


def _read(name: str, data: bytes) -> _File:
    # A weak tag, because it is the same with and without compression.
    etag = f'W/"{hashlib.sha256(data).hexdigest()[:32]}"'
    return _File(data, gzip.compress(data, mtime=0), etag, _MEDIA_TYPES[name[name.rindex(".") :]])


_FILES: Final = {
    entry.name: _read(entry.name, entry.read_bytes())
    for entry in files("ancestral.service.api").joinpath("web/page").iterdir()
}

_Encoding = Annotated[str, Header()]


@router.get("/")
async def show_page(accept_encoding: _Encoding = "", if_none_match: IfNoneMatch = None) -> Response:
    """The page."""
    return _respond(_FILES[_INDEX], accept_encoding, if_none_match)


@router.get("/page/{name}")
async def get_file(name: str, accept_encoding: _Encoding = "", if_none_match: IfNoneMatch = None) -> Response:
    """A script, style sheet or picture of the page."""
    if name not in _FILES or name == _INDEX:
        raise NotFound("The page has no such file.")
    return _respond(_FILES[name], accept_encoding, if_none_match)


def _respond(file: _File, accept_encoding: str, if_none_match: str | None) -> Response:
    headers = {
        "cache-control": "no-cache",  # asked for again, and answered 304: a new version is seen at once
        "etag": file.etag,
        "vary": "accept-encoding",
        "content-security-policy": _POLICY,
    }
    if (unchanged := not_modified(if_none_match, headers)) is not None:
        return unchanged
    if "gzip" in accept_encoding:
        return Response(file.compressed, headers=headers | {"content-encoding": "gzip"}, media_type=file.media_type)
    return Response(file.data, headers=headers, media_type=file.media_type)
