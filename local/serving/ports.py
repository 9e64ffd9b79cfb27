"""Ports on this machine."""

import socket

HOST = "127.0.0.1"


def listen(preferred: int) -> socket.socket:
    """Return a socket that listens on HOST, on the preferred port or, if it is taken, on a free one."""
    try:
        return _listening_socket(preferred)
    except OSError:
        return _listening_socket(0)


def port_of(sock: socket.socket) -> int:
    """Return the port on which a socket listens."""
    port: int = sock.getsockname()[1]
    return port


def port_in(url: str) -> int:
    """Return the port at the end of `HOST:PORT`, or of a URL without a path."""
    return int(url.rpartition(":")[2])


def _listening_socket(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
        # Listen immediately: with SO_REUSEADDR, another socket could bind this port until then.
        sock.listen(128)
    except OSError:
        sock.close()
        raise
    return sock
