"""uvicorn's websocket protocol, with limits for slow readers and hostile clients.

uvicorn's ``send`` waits while much is unsent, which is what makes sampling wait for slow readers. By default that is
64 KiB in asyncio and megabytes in the kernel: minutes of sound, and a client that reads as slowly as it plays would
seem to read nothing for as long as a third of that lasts. The close frame for a client that reads nothing would wait
as well: it would never be sent, and the connection would stay open for as long as the client likes.

When the server stops, uvicorn closes websockets itself, and the socket at once. If the client is just sending, that
becomes a reset, which loses what the client has not read yet, the close frame included; and a session that cannot be
resumed would end in the middle. So the app closes its websockets (:mod:`ancestral.service.ws.connection`).
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
"""Send buffers of asyncio and of the kernel (Linux doubles it): less than two seconds of 16-bit sound at 24 kHz."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """One websocket connection."""

    _left = False
    """Whether the client has sent a close frame."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Limit the send buffers of a new connection."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(UNSENT_BYTES)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def shutdown(self) -> None:
        """The server stops. The app closes a websocket that is open, in its own time."""
        if not self.handshake_initiated:
            super().shutdown()

    async def send(self, message: ASGISendEvent) -> None:
        """Send a message; a close frame is queued behind what is unsent.

        After the client's close frame nobody reads: the message is dropped, and the app receives the client's close
        code. An exception would end the app first, with 1006, as if the connection had been lost.

        Raises:
            ClientDisconnected: the connection is closing, and not because the client has closed it.
        """
        if self._left:
            return
        if self.handshake_complete and (self.close_sent or self.transport.is_closing()):
            raise ClientDisconnected
        if self.handshake_complete and message["type"] == "websocket.close":
            self.writable.set()
        await super().send(message)
        if self.close_timer is not None:
            self._abort_soon()

    def handle_close(self, event: Frame) -> None:
        """The client has sent a close frame."""
        self._left = True
        super().handle_close(event)
        self._abort_soon()

    def send_receive_event_to_app(self) -> None:
        """A message is complete. Text that is not UTF-8 closes the connection without a traceback in the log."""
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
        """Close the connection of a client that has violated the protocol."""
        super().handle_parser_exception()
        self._abort_soon()

    def _abort_soon(self) -> None:
        """Abort the connection after the close timeout, whether or not the client has read everything by then."""
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)
