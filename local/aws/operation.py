"""Answer single operations of AWS services that moto lacks, in front of moto's server."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class RefusedError(Exception):
    """The service refuses the request. `kind` is the error's type in the service's API."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Operation(ABC):
    """A WSGI middleware that answers one operation, and passes other requests to `application`."""

    target: ClassVar[str]
    """The operation's X-Amz-Target header."""
    content_type: ClassVar[str]

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if environ.get("HTTP_X_AMZ_TARGET") != self.target:
            return self._application(environ, start_response)
        status = "200 OK"
        try:
            answer = self.answer(json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
        except RefusedError as error:
            status = "400 Bad Request"
            answer = {"__type": error.kind, "message": str(error)}
        start_response(status, [("Content-Type", self.content_type)])
        return [json.dumps(answer).encode()]

    @abstractmethod
    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request for the operation. Raise RefusedError."""
