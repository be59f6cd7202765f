"""Opens the socket that a process listens on, with an error message that says why it cannot."""

from __future__ import annotations

import errno
import socket


class AddressError(OSError):
    """The address cannot be listened on; the message gives the reason."""


def listen(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket; ``setting`` is the environment variable of the port.

    Raises:
        AddressError: the name is unknown, or the port is taken or forbidden.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1024)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        busy = f"; {setting} takes another" if error.errno in (errno.EADDRINUSE, errno.EACCES) else ""
        raise AddressError(f"cannot listen on {host} port {port}: {error.strerror}{busy}") from error
    return listener
