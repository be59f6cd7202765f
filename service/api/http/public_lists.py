"""The lists that a deployment may open to everybody (``ANCESTRAL_PUBLIC_LISTS``): some clients read them without a key.

They say what the server offers, and nothing of what anybody has requested.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import HTTPConnection

from ancestral.service.api.http.auth import caller_of

PUBLIC_LISTS: Final = frozenset(
    {
        "/v1/models",
        "/v1/models/{model_id}",
        "/v1/audio/models",
        "/v1/audio/voices",
        "/v1/images/classes",
        "/v1/voices",
    }
)


async def check_key(connection: HTTPConnection) -> None:
    """Dependency of every route that needs a key; reads ``app.state.public_lists``.

    Raises:
        Unauthorized: the request has no key, or an unknown one, and the route is not a public list.
    """
    if not (connection.app.state.public_lists and connection.scope["route"].path in PUBLIC_LISTS):
        await caller_of(connection)
