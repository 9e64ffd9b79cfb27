"""Ports of the loopback, served on another address of this machine as well."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from ipaddress import IPv4Interface

import pytest

from local.serving.ports import HOST
from local.stack.container_access import container_access

# Another address that every Linux has, as a bridge's needs Docker.
BRIDGE = IPv4Interface("127.0.0.2/8")
ADDRESS = str(BRIDGE.ip)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is Linux's")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Serve on loopback: send everything back when the client has finished."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"echo: " + await reader.read())
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_request_and_its_answer_arrive(port: int) -> None:
    sent = b"x" * 1_000_000
    async with container_access(BRIDGE, [port]):
        reader, writer = await asyncio.open_connection(ADDRESS, port)
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == b"echo: " + sent
        writer.close()


async def test_only_clients_in_the_bridges_network_are_served(port: int) -> None:
    async with container_access(IPv4Interface(f"{ADDRESS}/32"), [port]):
        reader, writer = await asyncio.open_connection(ADDRESS, port)
        assert writer.get_extra_info("sockname")[0] == HOST
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()


async def test_a_connection_ends_if_nothing_serves_the_port() -> None:
    with socket.create_server((HOST, 0)) as unused:
        port = unused.getsockname()[1]
    async with container_access(BRIDGE, [port]):
        reader, writer = await asyncio.open_connection(ADDRESS, port)
        assert await reader.read() == b""
        writer.close()


async def test_ending_it_ends_all_its_connections(port: int) -> None:
    async with container_access(BRIDGE, [port]):
        reader, writer = await asyncio.open_connection(ADDRESS, port)
        writer.write(b"unfinished")
        await writer.drain()
    with contextlib.suppress(ConnectionResetError):  # Or it ends in order.
        assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(ADDRESS, port)


async def test_a_port_that_is_taken_is_an_error_and_leaves_none_served(port: int) -> None:
    with socket.create_server((ADDRESS, 0)) as taken:
        access = container_access(BRIDGE, [port, taken.getsockname()[1]])
        with pytest.raises(OSError, match="address already in use"):
            await access.__aenter__()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(ADDRESS, port)
