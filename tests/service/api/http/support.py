"""What several test files share."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from websockets.sync.client import connect

from ancestral_service.api.http import errors as error_responses
from ancestral_service.api.http.auth import Keys, caller_of, check_origin, install_cors
from ancestral_service.jobs.state import Caller
from tests.waiting import eventually

KEYS = {name: f"anc_{name:x<43}" for name in ("first", "second", "third")}
PAGE = "https://page.example"
JSON = {"content-type": "application/json"}


def line(name: str, more: str = "") -> str:
    return f"{name} {hashlib.sha256(KEYS[name].encode()).hexdigest()} {more}\n"


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@contextmanager
def served(app: FastAPI, **options: Any) -> Iterator[str]:
    """Serve an app until the block ends; with options of uvicorn's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, **options))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            eventually(lambda: server.started or not thread.is_alive())
            assert server.started
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)


def make_app(path: Path | None, origins: tuple[str, ...] = ()) -> FastAPI:
    """One route that says who is calling, and the same as a websocket."""
    app = FastAPI()
    error_responses.install(app)
    app.state.keys = Keys(path)
    router = APIRouter(prefix="/v1", dependencies=[Depends(caller_of)])

    @router.get("/me")
    async def me(caller: Annotated[Caller, Depends(caller_of)]) -> str:
        return caller.name

    @router.websocket("/me", dependencies=[Depends(check_origin)])
    async def me_too(websocket: WebSocket, caller: Annotated[Caller, Depends(caller_of)]) -> None:
        await websocket.accept()
        await websocket.send_text(caller.name)
        await websocket.close()

    app.include_router(router)
    install_cors(app, origins)
    return app


def heard(url: str, **headers: str) -> str:
    """What the websocket says."""
    with connect(url.replace("http", "ws", 1) + "/v1/me", additional_headers=headers, proxy=None) as websocket:
        return str(websocket.recv(timeout=20))


def check_refused(response: httpx.Response) -> str:
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    error = response.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "invalid_api_key")
    return str(error["message"])
