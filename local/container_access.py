"""Lets containers on this machine reach what the local stack serves, which listens on the loopback alone.

A container finds its host as `host.docker.internal`, where it is given that name (`--add-host
host.docker.internal:host-gateway`). Docker Desktop leads it to the host's loopback; Docker Engine on Linux,
to the address of its bridge, which only containers and the host itself are connected to. There, the ports
are served on that address too.
"""

import asyncio
import contextlib
import functools
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import psutil

from local.ports import HOST

CONTAINER_HOST = "host.docker.internal"

_BRIDGE = "docker0"
_CHUNK_BYTES = 65536


def bridge_address() -> str | None:
    """Return the host's address on the network of containers; None where there is no such network here."""
    for address in psutil.net_if_addrs().get(_BRIDGE, []):
        if address.family.name == "AF_INET":
            return address.address
    return None


class ContainerAccess:
    """An async context manager: inside, `ports` of the loopback are served on `address` as well."""

    def __init__(self, address: str, ports: Iterable[int]) -> None:
        """Serve them on `address`, one of this machine's."""
        self._address = address
        self._ports = tuple(ports)
        self._resources = contextlib.AsyncExitStack()
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Start serving; raises OSError where a port is taken."""
        async with contextlib.AsyncExitStack() as resources:
            for port in self._ports:
                server = await asyncio.start_server(functools.partial(self._serve, port), self._address, port)
                resources.callback(server.close)
            self._resources = resources.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving, and end the connections."""
        await self._resources.aclose()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _serve(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(_forward(port, reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)


async def _forward(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Connect a connection with one to `port` of the loopback, until either end closes it."""
    with contextlib.closing(writer), contextlib.suppress(OSError):
        onward_reader, onward_writer = await asyncio.open_connection(HOST, port)
        with contextlib.closing(onward_writer):
            await asyncio.gather(_copy(reader, onward_writer), _copy(onward_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()
