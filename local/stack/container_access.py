"""Let containers on this machine reach the local stack, which listens only on the loopback interface.

A container reaches its host as `host.docker.internal`, if it gets that name (`--add-host
host.docker.internal:host-gateway`). Docker Desktop forwards it to the host's loopback interface. Docker
Engine on Linux uses the host's address on Docker's bridge, so the ports must be served there too.
"""

import asyncio
import contextlib
import functools
import socket
from collections.abc import AsyncIterator, Iterable
from ipaddress import IPv4Address, IPv4Interface

import psutil

from local.serving.ports import HOST

CONTAINER_HOST = "host.docker.internal"

_BRIDGE = "docker0"
_CHUNK_BYTES = 65536


def docker_bridge() -> IPv4Interface | None:
    """Return this machine's address on the containers' network, or None if there is no such network."""
    for address in psutil.net_if_addrs().get(_BRIDGE, []):
        if address.family is socket.AF_INET:
            return IPv4Interface(f"{address.address}/{address.netmask}")
    return None


@contextlib.asynccontextmanager
async def container_access(bridge: IPv4Interface, ports: Iterable[int]) -> AsyncIterator[None]:
    """Forward `ports` from the address of `bridge` to the loopback interface.

    Accept only clients in the bridge's network: on Linux, machines in this machine's other networks can
    reach the address too. Raise OSError if a port is taken.
    """
    connections: set[asyncio.Task[None]] = set()

    def serve(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer, _ = writer.get_extra_info("peername")
        if IPv4Address(peer) not in bridge.network:
            writer.close()
            return
        connection = asyncio.create_task(_forward(port, reader, writer))
        connections.add(connection)
        connection.add_done_callback(connections.discard)

    try:
        with contextlib.ExitStack() as servers:
            for port in ports:
                server = await asyncio.start_server(functools.partial(serve, port), str(bridge.ip), port)
                servers.callback(server.close)
            yield
    finally:
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _forward(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward a connection to `port` on the loopback interface, until it is closed."""
    with contextlib.closing(writer), contextlib.suppress(OSError):
        onward_reader, onward_writer = await asyncio.open_connection(HOST, port)
        with contextlib.closing(onward_writer):
            await asyncio.gather(_copy(reader, onward_writer), _copy(onward_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()
