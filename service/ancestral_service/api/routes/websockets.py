"""The websockets: ``/v1/audio/speech/stream``, OpenAI's, ElevenLabs' two, and ``/v1/images/stream``.

A handshake that is refused is answered over HTTP, with the same error body as any other request: 401 for a wrong key in
its headers, 400 for an invalid parameter of the URL. Browsers show their pages no more than that the connection failed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from fastapi import APIRouter, WebSocket
from starlette.datastructures import QueryParams

from ancestral.errors import AncestralError
from ancestral_service.api.deps import Service
from ancestral_service.api.http.auth import caller_of
from ancestral_service.api.http.errors import respond
from ancestral_service.errors import Unauthorized
from ancestral_service.images import answers
from ancestral_service.jobs.state import AppState
from ancestral_service.speech.elevenlabs.websockets import (
    CONTEXTS,
    STREAM_INPUT,
    MultiContextConnection,
    SingleContextConnection,
)
from ancestral_service.speech.realtime import connection as realtime
from ancestral_service.speech.realtime.schemas import RealtimeQuery
from ancestral_service.speech.session import native
from ancestral_service.speech.session.native import NativeConnection, SpeechQuery
from ancestral_service.telemetry.logging import ACCESS_LOGGER
from ancestral_service.telemetry.metrics import Transport
from ancestral_service.ws import BoundedWebSocket, Credentials, NoQuery, WsConnection, parse_query

router = APIRouter(tags=["websockets"])
log = logging.getLogger(ACCESS_LOGGER)


@router.websocket(native.PATH)
async def stream_speech(websocket: WebSocket, service: Service) -> None:
    """Speak text while it arrives; :mod:`ancestral_service.speech.session.native` has the messages."""

    def checked(query: QueryParams) -> _Open:
        return partial(NativeConnection, query=parse_query(SpeechQuery, query).check())

    await _serve(websocket, service, checked)


@router.websocket(realtime.PATH)
async def stream_realtime(websocket: WebSocket, service: Service) -> None:
    """Speech for OpenAI's clients; :mod:`ancestral_service.speech.realtime` has the events."""

    def checked(query: QueryParams) -> _Open:
        found = parse_query(RealtimeQuery, query)
        found.config(service.catalog)
        return partial(realtime.RealtimeConnection, query=found)

    await _serve(websocket, service, checked, realtime.SUBPROTOCOL)


@router.websocket(answers.PATH)
async def stream_images(websocket: WebSocket, service: Service) -> None:
    """Send pictures while they are sampled; :mod:`ancestral_service.images.answers` has the messages."""

    def checked(query: QueryParams) -> _Open:
        parse_query(NoQuery, query)
        return answers.ImageConnection

    await _serve(websocket, service, checked)


@router.websocket(STREAM_INPUT)
async def stream_text(websocket: WebSocket, voice_id: str, service: Service) -> None:
    """Speech for ElevenLabs' clients; :mod:`ancestral_service.speech.elevenlabs.websockets` has the messages."""
    await _serve(websocket, service, lambda query: partial(SingleContextConnection, voice_id=voice_id, query=query))


@router.websocket(CONTEXTS)
async def stream_contexts(websocket: WebSocket, voice_id: str, service: Service) -> None:
    """Speech in several contexts for ElevenLabs' clients; :mod:`ancestral_service.speech.elevenlabs.websockets` has the
    messages."""
    await _serve(websocket, service, lambda query: partial(MultiContextConnection, voice_id=voice_id, query=query))


_Open = Callable[[AppState, BoundedWebSocket, Credentials], WsConnection]


async def _serve(
    websocket: WebSocket, service: AppState, checked: Callable[[QueryParams], _Open], subprotocol: str | None = None
) -> None:
    """Serve a websocket, or refuse the handshake.

    Args:
        websocket: not accepted yet.
        service: state of the process.
        checked: checks the parameters of the URL, and says how its connection is opened.
        subprotocol: of which browsers send their key in another one's name: no message has it.
    """
    try:
        credentials = await _credentials(websocket, in_message=subprotocol is None)
        open_connection = checked(websocket.query_params)
    except AncestralError as error:
        await websocket.receive()  # the request to connect
        service.metrics.refused(error, Transport.HTTP)
        await websocket.send_denial_response(respond(error, websocket.headers.get("accept", "")))
        return
    await websocket.accept(subprotocol if subprotocol in websocket.scope["subprotocols"] else None)
    connection = open_connection(service, BoundedWebSocket(websocket, service.settings.stall_seconds), credentials)
    start, route = time.perf_counter(), websocket.scope["route"].path_format
    with service.metrics.websockets.labels(route).track_inprogress():
        code = await connection.run(websocket.app.state.stopping)
    service.metrics.closed(route, code)
    seconds = round(time.perf_counter() - start, 1)
    log.info("websocket", extra={"route": route, "code": code, "seconds": seconds})


async def _credentials(websocket: WebSocket, *, in_message: bool) -> Credentials:
    """The caller, or how to find out: browsers cannot send headers, so their key comes in the first message.

    Raises:
        Unauthorized: the headers have a key, and it is wrong; or they have none, and no message may have it.
    """
    caller, keys = None, websocket.app.state.keys
    try:
        caller = await caller_of(websocket)
    except Unauthorized:
        # Another scheme's credentials are those of a proxy.
        scheme = websocket.headers.get("authorization", "").partition(" ")[0]
        if not in_message or scheme.lower() == "bearer" or "xi-api-key" in websocket.headers:
            raise
    return Credentials(caller, websocket.headers, keys.identify)
