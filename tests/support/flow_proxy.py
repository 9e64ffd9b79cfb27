"""A TCP proxy that can drop connections silently, as a load balancer does when it forgets a flow."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Self

from local.serving.ports import HOST, listen, port_of

_CHUNK = 65_536


class Flow:
    """One connection through the proxy, by its client's port."""

    def __init__(self, client_port: int) -> None:
        self.client_port = client_port
        self.is_dropped = False
        self.swallowed = 0
        """Bytes, of both directions, that were sent after the flow was dropped."""
        self.is_abandoned = False
        """Whether the client has closed the connection after it was dropped."""
        self.writers: list[asyncio.StreamWriter] = []

    def abort(self) -> None:
        """Cut the connection on both sides."""
        for writer in self.writers:
            writer.transport.abort()


class FlowProxy:
    """Forwards connections to a port of this machine; those made before the port is known wait for it."""

    def __init__(self) -> None:
        """Use `FlowProxy.listening`."""
        self._target: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._flows: set[Flow] = set()
        self.accepted = 0
        """How many connections were made so far."""
        self.address = ""
        """`host:port`."""

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncIterator[Self]:
        """Accept connections inside."""
        proxy = cls()
        sock = listen(0)
        proxy.address = f"{HOST}:{port_of(sock)}"
        carried: set[asyncio.Task[None]] = set()

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            flow = asyncio.create_task(proxy._carry(reader, writer))
            carried.add(flow)
            flow.add_done_callback(carried.discard)

        server = await asyncio.start_server(accepted, sock=sock)
        try:
            yield proxy
        finally:
            server.close()
            for flow in carried:
                flow.cancel()
            await asyncio.gather(*carried, return_exceptions=True)

    def forward_to(self, port: int) -> None:
        """Forward connections to this port."""
        self._target.set_result(port)

    @property
    def flows(self) -> list[Flow]:
        """Return the open connections."""
        return list(self._flows)

    def drop_all(self) -> None:
        """Drop the open connections for good, as `dropping` does. New connections work."""
        for flow in self._flows:
            flow.is_dropped = True

    @contextmanager
    def dropping(self, client_ports: Collection[int]) -> Iterator[list[Flow]]:
        """Drop the open connections of clients at these ports; yield them.

        Inside, neither side is told, and nothing that either sends arrives. New connections work. On leaving,
        what is still open is cut.
        """
        dropped = [flow for flow in self._flows if flow.client_port in client_ports]
        for flow in dropped:
            flow.is_dropped = True
        try:
            yield dropped
        finally:
            for flow in dropped:
                flow.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, client_port = writer.get_extra_info("peername") or ("", 0)
        flow = Flow(client_port)
        self.accepted += 1
        self._flows.add(flow)
        flow.writers.append(writer)
        try:
            port = await asyncio.shield(self._target)
            server_reader, server_writer = await asyncio.open_connection(HOST, port)
            flow.writers.append(server_writer)
            await asyncio.gather(
                self._forward(flow, reader, server_writer, is_from_client=True),
                self._forward(flow, server_reader, writer, is_from_client=False),
            )
        except OSError:
            pass  # Refused or reset by one side, which the other is told below.
        finally:
            flow.abort()
            self._flows.discard(flow)

    async def _forward(
        self, flow: Flow, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_from_client: bool
    ) -> None:
        """Forward what comes from one side until it closes; raise OSError where either side is reset."""
        try:
            while data := await source.read(_CHUNK):
                if flow.is_dropped:
                    flow.swallowed += len(data)
                    continue
                sink.write(data)
                await sink.drain()
        except OSError:
            if not flow.is_dropped:
                raise
        if flow.is_dropped:
            flow.is_abandoned = flow.is_abandoned or is_from_client
            return
        with suppress(OSError):
            sink.write_eof()
