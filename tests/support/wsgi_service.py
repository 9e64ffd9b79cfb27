"""A stand-in for an AWS service, served over HTTP."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from wsgiref.types import WSGIApplication

from werkzeug.serving import WSGIRequestHandler, make_server


@contextlib.contextmanager
def serve(
    application: WSGIApplication, request_handler: type[WSGIRequestHandler] | None = None
) -> Iterator[str]:
    """Serve an application inside, and yield its URL."""
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=request_handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
