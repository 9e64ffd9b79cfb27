"""A TCP proxy that can stop forwarding what is on its connections, without closing them.

That is what a client sees when a load balancer, a NAT or a firewall has forgotten its connection.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class BlackHole:
    """Forwards connections to a server, until `swallow` is called."""

    def __init__(self, host: str, port: int) -> None:
        """Forward to this address, from `address`."""
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._swallowed = threading.Event()
        self._sockets: list[socket.socket] = []
        self.accepted = 0
        """How many connections were made so far."""
        self._open = 0
        self._changed = threading.Condition()

    def swallow(self) -> None:
        """Drop from now on what comes over the connections that exist. New connections work."""
        self._swallowed.set()
        self._swallowed = threading.Event()

    def wait_until_open(self, count: int) -> None:
        """Return when so many connections are open. Raise `TimeoutError` after 20 s."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._open == count, timeout=20):
                raise TimeoutError(f"{self._open} connections are open, not {count}")

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for opened in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._sockets += [client, server]
                self.accepted += 1
                self._count(1)
                for forward, source, sink in (
                    (self._forward_from_client, client, server),
                    (_forward, server, client),
                ):
                    threading.Thread(
                        target=forward, args=(source, sink, self._swallowed), daemon=True
                    ).start()

    def _forward_from_client(
        self, client: socket.socket, server: socket.socket, swallowed: threading.Event
    ) -> None:
        _forward(client, server, swallowed)
        self._count(-1)

    def _count(self, change: int) -> None:
        with self._changed:
            self._open += change
            self._changed.notify_all()


def _forward(source: socket.socket, sink: socket.socket, swallowed: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while received := source.recv(65536):
            if not swallowed.is_set():
                sink.sendall(received)
        if not swallowed.is_set():
            sink.shutdown(socket.SHUT_WR)
