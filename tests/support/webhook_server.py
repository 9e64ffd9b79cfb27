"""An HTTP server in the webhook's place, which answers as a test tells it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.waiting import SECONDS


@dataclass(frozen=True)
class Reply:
    """An answer with more than a status."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Request:
    """What a webhook was sent, over which connection, and what it answered."""

    body: bytes
    headers: dict[str, str]
    connection: tuple[str, int]
    status: int = 0

    @cached_property
    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads(self.body)
        return fields

    @property
    def text(self) -> str:
        text: str = self.fields["text"]
        return text


class Webhook:
    """An HTTP server that answers as it is told, and remembers."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], int | Reply] = lambda _request: 200
        """Gives the status or reply for a request, or raises a `ConnectionError` to break the connection."""
        self.clock_error = 0.0
        """Seconds that its clock is ahead."""
        self._changed = threading.Condition()
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    # The sender was killed.
                    self.close_connection = True
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(body, headers, self.client_address)
                try:
                    answer = webhook.answer(request)
                except ConnectionError:
                    self.close_connection = True
                    return
                reply = Reply(answer, {"Location": "/"}) if isinstance(answer, int) else answer
                request.status = reply.status
                webhook._note(request)
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(int(time.time() + webhook.clock_error))

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def taken(self) -> list[str]:
        """Return the texts that it has taken, in order."""
        return [request.text for request in self.requests if 200 <= request.status < 300]

    def wait_for_text(self, text: str) -> None:
        """Wait until it has taken a message with this text."""
        self.wait_for(lambda: text in self.taken)

    def wait_for(self, is_so: Callable[[], object]) -> None:
        """Wait until a request makes this true."""
        with self._changed:
            assert self._changed.wait_for(is_so, timeout=SECONDS), [
                request.status for request in self.requests
            ]

    def wait_for_taken(self, *texts: str) -> None:
        """Wait until it has accepted so many texts, and check that they are these, in this order."""
        self.wait_for(lambda: len(self.taken) >= len(texts))
        assert self.taken == list(texts)

    def _note(self, request: Request) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
