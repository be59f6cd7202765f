"""The websockets: ``/v1/audio/speech/stream``, ElevenLabs' two, and ``/v1/images/stream``.

A handshake that is refused is answered over HTTP, with the same error body as any other request: 401 for a wrong key in
its headers, 400 for an invalid parameter of the URL. Browsers show their pages no more than that the connection failed.
"""

from __future__ import annotations

import logging
import time

from fastapi import APIRouter, WebSocket

from ancestral.errors import AncestralError
from ancestral.service.api.deps import Service
from ancestral.service.api.http.auth import Keys, caller_of
from ancestral.service.api.http.errors import respond
from ancestral.service.errors import Unauthorized
from ancestral.service.images import answers as images
from ancestral.service.images.answers import ImageConnection
from ancestral.service.jobs.state import AppState
from ancestral.service.speech.elevenlabs.websockets import (
    CONTEXTS,
    STREAM_INPUT,
    ElevenLabsConnection,
    MultiContextConnection,
)
from ancestral.service.speech.session import native
from ancestral.service.speech.session.native import NativeConnection, SpeechQuery
from ancestral.service.telemetry.logging import ACCESS_LOGGER
from ancestral.service.telemetry.metrics import Transport
from ancestral.service.ws import BoundedWebSocket, Credentials, NoQuery, WsConnection, parse_query

router = APIRouter(tags=["websockets"])
log = logging.getLogger(ACCESS_LOGGER)


@router.websocket(native.PATH)
async def stream_speech(websocket: WebSocket, service: Service) -> None:
    """Speak text while it arrives; :mod:`ancestral.service.speech.session.native` has the messages."""
    try:
        credentials = await _credentials(websocket)
        query = parse_query(SpeechQuery, websocket.query_params).check()
    except AncestralError as error:
        await _refuse(websocket, service, error)
        return
    bounded = await _accept(websocket, service.settings.stall_seconds)
    await _run(websocket, service, NativeConnection(service, bounded, credentials, query))


@router.websocket(images.PATH)
async def stream_images(websocket: WebSocket, service: Service) -> None:
    """Send pictures while they are sampled; :mod:`ancestral.service.images.answers` has the messages."""
    try:
        credentials = await _credentials(websocket)
        parse_query(NoQuery, websocket.query_params)
    except AncestralError as error:
        await _refuse(websocket, service, error)
        return
    bounded = await _accept(websocket, service.settings.stall_seconds)
    await _run(websocket, service, ImageConnection(service, bounded, credentials))


@router.websocket(STREAM_INPUT)
async def stream_text(websocket: WebSocket, voice_id: str, service: Service) -> None:
    """Speech for ElevenLabs' clients; :mod:`ancestral.service.speech.elevenlabs.websockets` has the messages."""
    await _serve_elevenlabs(ElevenLabsConnection, websocket, voice_id, service)


@router.websocket(CONTEXTS)
async def stream_contexts(websocket: WebSocket, voice_id: str, service: Service) -> None:
    """Speech in several contexts for ElevenLabs' clients; :mod:`ancestral.service.speech.elevenlabs.websockets` has the
    messages."""
    await _serve_elevenlabs(MultiContextConnection, websocket, voice_id, service)


async def _serve_elevenlabs(
    kind: type[ElevenLabsConnection] | type[MultiContextConnection],
    websocket: WebSocket,
    voice_id: str,
    service: AppState,
) -> None:
    try:
        credentials = await _credentials(websocket)
    except AncestralError as error:
        await _refuse(websocket, service, error)
        return
    bounded = await _accept(websocket, service.settings.stall_seconds)
    query = websocket.query_params
    await _run(websocket, service, kind(service, bounded, credentials, voice_id, query))


async def _credentials(websocket: WebSocket) -> Credentials:
    """The caller, or how to find out: browsers cannot send headers, so their key comes in the first message.

    Raises:
        Unauthorized: the headers have a key, and it is wrong.
    """
    keys = websocket.app.state.keys
    assert isinstance(keys, Keys)

    try:
        return Credentials(await caller_of(websocket), websocket.headers, keys.identify)
    except Unauthorized:
        if "authorization" in websocket.headers or "xi-api-key" in websocket.headers:
            raise
        return Credentials(None, websocket.headers, keys.identify)


async def _refuse(websocket: WebSocket, service: AppState, error: AncestralError) -> None:
    await websocket.receive()  # the request to connect
    service.metrics.refused(error, Transport.HTTP)
    await websocket.send_denial_response(respond(error, websocket.headers.get("accept", "")))


async def _accept(websocket: WebSocket, stall_seconds: float) -> BoundedWebSocket:
    await websocket.accept()
    return BoundedWebSocket(websocket, stall_seconds)


async def _run(websocket: WebSocket, service: AppState, connection: WsConnection) -> None:
    start, route = time.perf_counter(), websocket.scope["route"].path
    with service.metrics.websockets.labels(route).track_inprogress():
        code = await connection.run(websocket.app.state.stopping)
    service.metrics.closed(route, code)
    seconds = round(time.perf_counter() - start, 1)
    log.info("websocket", extra={"route": route, "code": code, "seconds": seconds})
