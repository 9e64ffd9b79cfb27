"""Lets containers on this machine reach what the local stack serves, which listens on the loopback alone.

A container finds its host as `host.docker.internal`, where it is given that name (`--add-host
host.docker.internal:host-gateway`). Docker Desktop leads it to the host's loopback; Docker Engine on Linux,
to the host's address on Docker's bridge. There, the ports are served on that address too.
"""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface
from types import TracebackType
from typing import Self

import psutil

from local.ports import HOST

CONTAINER_HOST = "host.docker.internal"

_BRIDGE = "docker0"
_CHUNK_BYTES = 65536


def docker_bridge() -> IPv4Interface | None:
    """Return this machine's address on the network of containers; None where there is no such network."""
    for address in psutil.net_if_addrs().get(_BRIDGE, []):
        if address.family is socket.AF_INET:
            return IPv4Interface(f"{address.address}/{address.netmask}")
    return None


class ContainerAccess:
    """An async context manager: inside, `ports` of the loopback are served on `bridge` as well.

    Only to its network: Linux lets others on this machine's networks reach the address too.
    """

    def __init__(self, bridge: IPv4Interface, ports: Iterable[int]) -> None:
        """Serve them at the address of `bridge`, to its network."""
        self._bridge = bridge
        self._ports = tuple(ports)
        self._resources = contextlib.AsyncExitStack()
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Start serving; raises OSError where a port is taken."""
        async with contextlib.AsyncExitStack() as resources:
            for port in self._ports:
                serve = functools.partial(self._serve, port)
                server = await asyncio.start_server(serve, str(self._bridge.ip), port)
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
        peer, _ = writer.get_extra_info("peername")
        if IPv4Address(peer) not in self._bridge.network:
            writer.close()
            return
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
