"""Files on disks, signed as they are written."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ancestral.provenance.c2pa import EMBEDDED, SAMPLED, Claim, detached, sign, sign_stream
from ancestral.provenance.signer import Signer


def write_file(
    path: Path,
    data: bytes,
    media_type: str,
    recipe: Mapping[str, Any],
    signer: Signer | None,
    *,
    source: str = SAMPLED,
    ingredient: bytes | None = None,
) -> None:
    """Write a file, signed if there is a signer. A manifest that has no place in it is the file ``NAME.c2pa``.

    Args:
        path: of the file.
        data: the whole file, unsigned.
        media_type: of it.
        recipe: what it was made from.
        signer: who says so; None leaves it unsigned.
        source: how it came about (:class:`Claim`).
        ingredient: of what was uploaded (:class:`Claim`).

    Raises:
        SigningError: it cannot be signed. Nothing is written.
    """
    if signer is not None:
        claim = Claim(recipe, source, ingredient)
        if media_type in EMBEDDED:
            data = sign(data, media_type, claim, signer)
        else:
            path.with_suffix(".c2pa").write_bytes(detached(io.BytesIO(data), claim, signer))
    path.write_bytes(data)


def sign_in_place(path: Path, name: Path, media_type: str, recipe: Mapping[str, Any], signer: Signer) -> None:
    """Sign a file of any size that is not called ``name`` yet; its manifest is in it, or the file ``NAME.c2pa``.

    Raises:
        SigningError: it cannot be signed. It is as before.
    """
    claim, signed = Claim(recipe), path.with_name(f"{path.name}.signed")
    with path.open("rb") as source:
        if media_type not in EMBEDDED:
            name.with_suffix(".c2pa").write_bytes(detached(source, claim, signer))
            return
        try:
            with signed.open("w+b") as target:
                sign_stream(source, target, media_type, claim, signer)
            os.replace(signed, path)
        finally:
            signed.unlink(missing_ok=True)
