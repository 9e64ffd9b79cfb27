"""moto's server on a socket that the parent process listens on: `python -m local.aws.moto_server FD`.

It differs from the command `moto_server` in three ways: it checks the permissions of roles, it adds
operations of SQS and Translate that moto lacks, and it handles one request at a time. moto checks and writes
in two steps, so two concurrent conditional writes could both succeed; Powertools Idempotency relies on one
of them failing.
"""

import sys
import threading
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from local.aws.message_moves import MessageMoves
from local.aws.permissions import Permissions
from local.aws.translation import Translation
from local.serving.ports import HOST


def main() -> None:
    """Serve forever."""
    application = Permissions(Translation(MessageMoves(DomainDispatcherApplication(create_backend_app))))
    one_at_a_time = threading.Lock()

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with one_at_a_time:
            return application(environ, start_response)

    make_server(
        HOST, 0, serve, threaded=True, request_handler=MotoRequestHandler, fd=int(sys.argv[1])
    ).serve_forever()


if __name__ == "__main__":
    main()
