"""A TCP proxy between a browser and Momento that breaks connections as networks do."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_LAST_CHUNK = b"0\r\n\r\n"
_SUBSCRIBE = b"POST /cache_client.pubsub.Pubsub/Subscribe"


@dataclass
class _Connection:
    writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    is_hanging: bool = False
    carries_stream: bool = False
    loses_answer: bool = False


class MomentoProxy:
    """Serve at `url` while the context lasts."""

    def __init__(self, target_port: int) -> None:
        self.url = ""
        self._target_port = target_port
        self._is_hanging = False
        self._lost_request: bytes | None = None
        self._answer_is_lost = threading.Event()
        self._connections: list[_Connection] = []
        self._loop = asyncio.new_event_loop()
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_ready.wait(10)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join()

    def hang(self) -> None:
        """Drop what is sent over present and new connections, without closing any."""
        self._is_hanging = True
        for connection in list(self._connections):
            connection.is_hanging = True

    def heal(self) -> None:
        """Let new connections work. Subscriptions from before stay silent, and the browser is not told."""
        self._is_hanging = False
        self._loop.call_soon_threadsafe(self._abort_hanging_without_stream)

    def lose_answer_to(self, request: bytes) -> threading.Event:
        """Pass on the next request that contains these bytes, and break the connection before its answer.

        Return an event that is set once this has happened.
        """
        self._answer_is_lost = threading.Event()
        self._lost_request = request
        return self._answer_is_lost

    def _abort_hanging_without_stream(self) -> None:
        for connection in list(self._connections):
            if connection.is_hanging and not connection.carries_stream:
                _abort(connection)

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._main = asyncio.current_task() or self._loop.create_task(asyncio.sleep(0))
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._is_ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            for connection in self._connections:
                _abort(connection)
            others = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*others, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        connection = _Connection((writer, target_writer), is_hanging=self._is_hanging)
        self._connections.append(connection)
        await asyncio.gather(
            self._pass_on(connection, reader, target_writer, is_request=True),
            self._pass_on(connection, target_reader, writer, is_request=False),
        )
        self._connections.remove(connection)

    async def _pass_on(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        is_request: bool,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if connection.is_hanging:
                    continue
                if is_request:
                    connection.carries_stream = _SUBSCRIBE in data
                if is_request and self._lost_request is not None and self._lost_request in data:
                    self._lost_request = None
                    connection.loses_answer = True
                elif not is_request and connection.loses_answer:
                    # Not before the end of the answer, which begins before Momento has done the work.
                    if not data.endswith(_LAST_CHUNK):
                        continue
                    self._answer_is_lost.set()
                    break
                writer.write(data)
                await writer.drain()
        if not connection.is_hanging:
            _abort(connection)


def _abort(connection: _Connection) -> None:
    for writer in connection.writers:
        writer.transport.abort()
