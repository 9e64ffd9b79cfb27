"""Connections through the proxy of the tests: forwarded, silently dropped, and replaced."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from local.serving.ports import HOST, listen, port_in, port_of
from tests.support.flow_proxy import FlowProxy


@dataclass
class Client:
    """A client of the server that repeats what it is sent."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def port(self) -> int:
        port: int = self.writer.get_extra_info("sockname")[1]
        return port

    async def ask(self, text: bytes) -> bytes:
        self.writer.write(text)
        return await self.reader.readexactly(len(text))


@pytest.fixture
async def server_port() -> AsyncIterator[int]:
    """Serve an echo, and return its port."""

    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    sock = listen(0)
    server = await asyncio.start_server(repeat, sock=sock)
    yield port_of(sock)
    server.close()


@pytest.fixture
async def proxy() -> AsyncIterator[FlowProxy]:
    async with FlowProxy.listening() as proxy:
        yield proxy


async def connect(proxy: FlowProxy) -> Client:
    return Client(*await asyncio.open_connection(HOST, port_in(proxy.address)))


async def test_a_connection_waits_until_the_proxy_knows_its_target(
    proxy: FlowProxy, server_port: int
) -> None:
    client = await connect(proxy)
    asking = asyncio.create_task(client.ask(b"hello"))
    proxy.forward_to(server_port)
    assert await asking == b"hello"


async def test_a_dropped_connection_hangs_and_a_new_one_works(proxy: FlowProxy, server_port: int) -> None:
    proxy.forward_to(server_port)
    old, other = await connect(proxy), await connect(proxy)
    await old.ask(b"hello")
    await other.ask(b"hello")
    with proxy.dropping({old.port}) as [flow]:
        asking = asyncio.create_task(old.ask(b"lost"))
        while flow.swallowed < 4:  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.01)
        new = await connect(proxy)
        assert await new.ask(b"hello") == await other.ask(b"hello") == b"hello"
        assert not asking.done()
        assert not flow.is_abandoned
    # What is left is cut, so that nobody waits for ever.
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await asking


async def test_a_dropped_connection_is_abandoned_once_its_client_closes_it(
    proxy: FlowProxy, server_port: int
) -> None:
    proxy.forward_to(server_port)
    client = await connect(proxy)
    await client.ask(b"hello")
    with proxy.dropping({client.port}) as [flow]:
        client.writer.close()
        while not flow.is_abandoned:  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.01)


async def test_a_client_is_told_when_the_server_closes_or_refuses(proxy: FlowProxy, server_port: int) -> None:
    proxy.forward_to(server_port)
    client = await connect(proxy)
    client.writer.write(b"hello")
    client.writer.write_eof()
    assert await client.reader.read() == b"hello"
    async with FlowProxy.listening() as to_nobody:
        sock = listen(0)
        to_nobody.forward_to(port_of(sock))
        sock.close()
        client = await connect(to_nobody)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.ask(b"hello")


async def test_an_error_of_whoever_uses_the_proxy_stays_as_it_is() -> None:
    with pytest.raises(LookupError):
        async with FlowProxy.listening():
            raise LookupError
