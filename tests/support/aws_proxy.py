"""A proxy in front of an AWS service, which makes some of the service's operations fail."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Trouble = Literal["fail", "hang", "lose"]


class AwsProxy:
    """An AWS service of which some operations fail, or never answer, or do what is asked and say nothing."""

    def __init__(self, endpoint_url: str, **troubles: Trouble) -> None:
        """`troubles` are by operation, as `PutItem`, or by the version of a secret, as `AWSPREVIOUS`.

        "lose" closes the connection after the work is done. "lose" applies once. The others apply until
        removed from `troubles`.
        """
        self.troubles = troubles
        self.calls: list[tuple[str, dict[str, Any]]] = []
        """Each call's operation and parameters."""
        self.last_call_at = 0.0
        """When the last of them came, in seconds of `time.monotonic`."""
        self._stopping = threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                operation = self.headers["X-Amz-Target"].rpartition(".")[2]
                parameters = json.loads(body)
                proxy.last_call_at = time.monotonic()
                proxy.calls.append((operation, parameters))
                trouble = proxy.troubles.get(parameters.get("VersionStage", operation))
                if trouble == "fail":
                    self.send_error(500)
                    return
                if trouble == "hang":
                    proxy._stopping.wait(30)
                    return
                if trouble == "lose":
                    del proxy.troubles[operation]
                request = urllib.request.Request(endpoint_url, body, dict(self.headers))  # noqa: S310
                try:
                    response = urllib.request.urlopen(request)  # noqa: S310
                except urllib.error.HTTPError as error:
                    response = error
                with response:
                    if trouble == "lose":
                        return
                    self.send_response(response.status)
                    for name in ("Content-Type", "x-amzn-RequestId"):
                        if response.headers[name]:
                            self.send_header(name, response.headers[name])
                    self.end_headers()
                    self.wfile.write(response.read())

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def parameters_of(self, operation: str) -> list[dict[str, Any]]:
        """Return the parameters of each call of an operation."""
        return [parameters for name, parameters in self.calls if name == operation]

    def __enter__(self) -> AwsProxy:
        threading.Thread(target=self._server.serve_forever).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
