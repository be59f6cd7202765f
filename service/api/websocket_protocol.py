"""uvicorn's websockets, with what a hostile or a hanging client needs.

uvicorn's ``send`` waits while much lies unsent, which is what makes sampling wait for slow readers. Left alone, that is
64 KiB in asyncio and megabytes in the kernel: minutes of sound, and a client that takes it as slowly as it plays it
would seem to take nothing for as long as a third of that lasts. And the goodbye to a client that reads nothing would
wait as well: it would never come, and the connection would stay for as long as the client likes.

When the server stops, uvicorn says goodbye itself and closes the socket at once. A client that is just saying something
makes that a reset, which takes away what it has not read yet and the goodbye with it; and an utterance that nobody can
go on with would end in the middle. So it is the app that parts with its clients (:mod:`service.ws.connection`).
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

if TYPE_CHECKING:
    from asyncio import BaseTransport

    from uvicorn._types import ASGISendEvent

UNSENT_BYTES: Final = 1 << 14
SEND_BUFFER_BYTES: Final = 1 << 15
"""Of asyncio and of the kernel (Linux doubles it): together less than two seconds of 16-bit sound at 24 kHz."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """One connection."""

    def connection_made(self, transport: BaseTransport) -> None:
        """The handshake is coming."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(UNSENT_BYTES)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def shutdown(self) -> None:
        """The server stops: whoever serves the websocket knows, and says goodbye in its own time."""
        if not self.handshake_initiated:
            super().shutdown()

    async def send(self, message: ASGISendEvent) -> None:
        """Send; a goodbye goes behind whatever lies unsent.

        Raises:
            ClientDisconnected: the connection is closing.
        """
        if self.handshake_complete and (self.close_sent or self.transport.is_closing()):
            raise ClientDisconnected
        if self.handshake_complete and message["type"] == "websocket.close":
            self.writable.set()
        await super().send(message)
        if self.close_timer is not None:
            self._give_up_soon()

    def handle_close(self, event: Frame) -> None:
        """The client says goodbye, or answers ours."""
        super().handle_close(event)
        self._give_up_soon()

    def send_receive_event_to_app(self) -> None:
        """A whole message is there. Text that is not UTF-8 ends the connection, and is no news for the log."""
        data = b"".join(self.frames)
        self.frames = [data]
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                data.decode()
            except UnicodeDecodeError:
                self.conn.fail(CloseCode.INVALID_DATA)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """The client broke the protocol."""
        super().handle_parser_exception()
        self._give_up_soon()

    def _give_up_soon(self) -> None:
        """Whether or not the client has read everything by then."""
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)
