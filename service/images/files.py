"""The files that a job's pictures become: one each, or all of them in one."""

from __future__ import annotations

import io
import zipfile
from typing import Final

from service.broker.job import Job
from service.images.encoding import MEDIA_TYPES, Pixels, encode

ZIP: Final = "application/zip"


def picture_file(job: Job, pixels: Pixels) -> bytes:
    """One picture ``[H, W, C]`` of a job, in the format and size that were asked for."""
    return encode(pixels, job.request["output_format"], job.request["scale"])


def media_type(job: Job) -> str:
    """Of :func:`bundle`."""
    return MEDIA_TYPES[job.request["output_format"]] if job.request["pictures"] == 1 else ZIP


def bundle(job: Job, pixels: Pixels) -> bytes:
    """The file of a job: its picture or, of several ``[pictures, H, W, C]``, a ZIP of them, always the same bytes."""
    if len(pixels) == 1:
        return picture_file(job, pixels[0])
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for index, picture in enumerate(pixels):
            entry = zipfile.ZipInfo(f"{index}.{job.request['output_format']}", date_time=(1980, 1, 1, 0, 0, 0))
            file.writestr(entry, picture_file(job, picture))
    return archive.getvalue()
