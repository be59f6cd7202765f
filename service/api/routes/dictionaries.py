"""ElevenLabs' routes ``/v1/pronunciation-dictionaries``. Each caller sees only their own."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, UploadFile
from fastapi.responses import Response
from pydantic import Field

from ancestral.errors import InvalidRequest
from ancestral.models.text import PronunciationError
from ancestral.models.text.pronunciations import read_pls, write_pls
from ancestral.requests import example
from ancestral.service.api.deps import CallerDep, RateLimitedCaller, Service
from ancestral.service.api.http.body_route import MULTIPART, BodyRoute, FormFields, binary
from ancestral.service.speech.elevenlabs.dictionaries import (
    Archived,
    DictionariesQuery,
    DictionaryName,
    ElevenLabsDictionaries,
    ElevenLabsDictionary,
    RulesOfDictionary,
    add,
    describe,
    entries_in,
    entries_of,
    find,
)

router = APIRouter(prefix="/v1/pronunciation-dictionaries", tags=["elevenlabs"], route_class=BodyRoute)
_PLS = "application/pls+xml"


class FileOfDictionary(FormFields):
    """The form of a request for a dictionary: its rules in a file."""

    model_config = example(file="names.pls", name="names")

    file: UploadFile
    """[PLS](https://www.w3.org/TR/pronunciation-lexicon/) in UTF-8."""
    name: Annotated[DictionaryName, Field(examples=["names"])]
    description: str | None = Field(default=None, max_length=1024)


_Id = Annotated[str, Path(max_length=64, examples=["dict_0123456789abcdef01234567"])]


async def own_dictionary(pronunciation_dictionary_id: _Id, service: Service, caller: CallerDep) -> dict[str, Any]:
    """Dependency of every route about one dictionary; raises NotFound if the caller has none of this id."""
    return await find(service, caller, pronunciation_dictionary_id)


_Own = Annotated[dict[str, Any], Depends(own_dictionary)]


@router.post("/add-from-rules", summary="Keep a pronunciation dictionary")
async def add_from_rules(body: RulesOfDictionary, service: Service, caller: RateLimitedCaller) -> ElevenLabsDictionary:
    """The same rules again are the same dictionary."""
    try:
        entries = entries_of(body.rules)
    except PronunciationError as error:
        raise InvalidRequest(f"rules: {error}", param="rules", code="unsupported_phonemes") from error
    return await add(service, caller, "rules", entries, body.name, body.description)


@router.post("/add-from-file", summary="Keep a pronunciation dictionary from a file")
async def add_from_file(
    form: Annotated[FileOfDictionary, MULTIPART], service: Service, caller: RateLimitedCaller
) -> ElevenLabsDictionary:
    """The same entries again are the same dictionary."""
    try:
        entries = await asyncio.to_thread(read_pls, (await form.file.read()).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidRequest("file: it is not UTF-8", param="file", code="unsupported_file") from error
    except PronunciationError as error:
        raise InvalidRequest(f"file: {error}", param="file", code="unsupported_file") from error
    return await add(service, caller, "file", entries, form.name, form.description)


@router.get("", summary="List your pronunciation dictionaries")
async def list_dictionaries(
    query: Annotated[DictionariesQuery, Query()], service: Service, caller: CallerDep
) -> ElevenLabsDictionaries:
    """Your dictionaries, the newest first."""
    owned = await service.broker.batches.owned("dictionary", caller.name)
    start = int(query.cursor or 0)
    end = start + query.page_size
    more = end < len(owned)
    return ElevenLabsDictionaries(
        pronunciation_dictionaries=[describe(document) for document in owned[start:end]],
        next_cursor=str(end) if more else None,
        has_more=more,
    )


@router.get("/{pronunciation_dictionary_id}", summary="Get a pronunciation dictionary")
async def get_dictionary(service: Service, dictionary: _Own) -> ElevenLabsDictionary:
    """A dictionary and its rules."""
    return describe(dictionary, entries=await entries_in(service, dictionary))


@router.get(
    "/{pronunciation_dictionary_id}/{version_id}/download",
    summary="Get a pronunciation dictionary as PLS",
    response_class=Response,
    responses={200: {"content": binary(_PLS), "description": "A lexicon in XML."}},
)
async def download_dictionary(version_id: _Id, service: Service, caller: CallerDep, dictionary: _Own) -> Response:
    """The rules as W3C's Pronunciation Lexicon Specification writes them."""
    await find(service, caller, dictionary["id"], version_id)
    return Response(write_pls(await entries_in(service, dictionary)), media_type=_PLS)


@router.patch("/{pronunciation_dictionary_id}", summary="Delete a pronunciation dictionary")
async def archive_dictionary(_body: Archived, service: Service, dictionary: _Own) -> ElevenLabsDictionary:
    """A dictionary that is archived is forgotten: its rules make room for others."""
    await service.broker.batches.delete("dictionary", dictionary)
    return describe(dictionary, archived=int(time.time()))
