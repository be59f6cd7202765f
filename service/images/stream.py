"""What a client is told of the pictures of a job: as JSON, as server-sent events, under URLs."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np

from service.broker import Broker
from service.broker.job import Job
from service.catalog.models import ImageModel
from service.images.encoding import encode
from service.images.files import picture_file
from service.images.sampler import BatchDecoder, kinds_of, seeds_of
from service.images.schemas import ImageCompleted, ImageObject, ImagePartial, ImagesObject, ImageUsage, TokenDetails
from service.jobs.stream import JobReader, event


class ImageReader(JobReader):
    """One client, who watches a job's pictures grow."""

    def __init__(self, broker: Broker, job: Job, model: ImageModel) -> None:
        super().__init__(broker, job)
        self.kinds = kinds_of(model.spec, job.request)
        """Of each picture that which its seed drew, if it did."""
        self.batch = BatchDecoder(model.spec, job.request["pictures"])

    async def to_the_end(self) -> None:
        """Read until every row is there; raises as :meth:`JobReader.symbols` does."""
        async for _, symbols in self.symbols():
            self.batch(symbols)


def usage_of(job: Job, sampled: int) -> ImageUsage:
    """What a job cost.

    Args:
        job: that gave pictures.
        sampled: its symbols, those of given rows included.
    """
    given = job.request["given"] * job.request["pictures"]
    words = sum(label is not None for labels in job.request["labels"] for label in labels)
    details = TokenDetails(image_tokens=given, text_tokens=words)
    made = sampled - given
    return ImageUsage(
        input_tokens=given + words, output_tokens=made, total_tokens=given + words + made, input_tokens_details=details
    )


def images_object(reader: ImageReader, base_url: str) -> ImagesObject:
    """The answer to a request for pictures that are all there.

    Args:
        reader: of the job.
        base_url: of this server, as the client sees it; ends with a slash.
    """
    job, batch = reader.job, reader.batch
    data = []
    for index, (seed, kind) in enumerate(zip(seeds_of(job.request), reader.kinds, strict=True)):
        if job.request["response_format"] == "url":
            way = {"url": base_url + path_of(job, index).lstrip("/")}
        else:
            way = {"b64_json": _base64(picture_file(job, batch.pixels[index]))}
        data.append(ImageObject(**way, revised_prompt=kind, seed=seed))
    return ImagesObject(
        created=int(job.created_at),
        data=data,
        output_format=job.request["output_format"],
        size=job.request["size"],
        usage=usage_of(job, reader.samples),
    )


def path_of(job: Job, index: int) -> str:
    """Where a picture of a job is. Whoever has this path may see it: it holds a secret of the job's."""
    name = f"{index}.{job.request['output_format']}"
    return f"/v1/images/files/{job.id}/{name}?token={job.request['token']}"


async def as_events(reader: ImageReader) -> AsyncGenerator[bytes, None]:
    """OpenAI's events: every picture unfinished as often as was asked for, then finished. Ours besides: which it is of
    several (``index``), and its ``seed``."""
    job, batch = reader.job, reader.batch
    wanted, height = job.request["partial_images"], batch.pixels.shape[1]
    due = [height * (number + 1) // (wanted + 1) for number in range(wanted)]
    shown = 0
    async for _, symbols in reader.symbols():
        batch(symbols)
        while shown < wanted and batch.rows >= due[shown]:
            for index in range(len(batch.pixels)):
                yield event(ImagePartial(**_fields(reader, index), partial_image_index=shown))
            shown += 1
    usage = usage_of(job, reader.samples)
    for index in range(len(batch.pixels)):
        yield event(ImageCompleted(**_fields(reader, index), usage=usage))


def _fields(reader: ImageReader, index: int) -> dict[str, Any]:
    """The fields of :class:`ImageEvent`."""
    job = reader.job
    return {
        "b64_json": _base64(picture_file(job, reader.batch.pixels[index])),
        "created_at": int(job.created_at),
        "size": job.request["size"],
        "output_format": job.request["output_format"],
        "index": index,
        "seed": seeds_of(job.request)[index],
        "revised_prompt": reader.kinds[index],
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def likelihood(job: Job) -> dict[str, Any]:
    """The answer to a request for a picture's likelihood."""
    assert job.result is not None
    figures = {name: value for name, value in job.result.items() if name != "bits"}
    if not job.request["map"]:
        return figures
    bits = np.array(job.result["bits"])  # of whole pixels, [H, W]
    white = job.request["bits_of_white"] * figures["dims"] / bits.size
    brightness = np.round(np.clip(bits / white, 0.0, 1.0) * 255.0).astype(np.uint8)
    return figures | {"map": _base64(encode(brightness[..., None], "png"))}
