"""The socket that all workers share."""

from __future__ import annotations

import socket

from distingo.errors import ResourceError, option

_BACKLOG = 1024


def listen(host: str, port: int) -> socket.socket:
    """Open the socket that all workers share.

    Raises:
        ResourceError: The port is taken, or the address is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        reason = error.strerror or str(error)
        raise ResourceError(
            f"{host}, port {port}: can't listen there ({reason}); choose another {option('port')}",
            code="port_unavailable",
            parameter="port",
        ) from error
    listening.settimeout(0)
    return listening


def address_of(listening: socket.socket) -> str:
    """The address that a client on this machine opens."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
