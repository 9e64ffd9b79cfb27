"""Errors of calls: a gRPC status, a message, and the cause that Momento sends as `err` metadata."""

import grpc


class MomentoError(Exception):
    """A call fails with this gRPC status.

    `cause` is the value of Momento's `err` trailer. SDKs use it for their messages about limits
    (`momento.errors.exceptions.LIMIT_EXCEEDED_ERROR_TO_MESSAGE_WRAPPER`) and to see what was not found.
    """

    def __init__(self, status: grpc.StatusCode, message: str, cause: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.cause = cause


def invalid_argument(message: str) -> MomentoError:
    return MomentoError(grpc.StatusCode.INVALID_ARGUMENT, message)


def unauthenticated(message: str) -> MomentoError:
    return MomentoError(grpc.StatusCode.UNAUTHENTICATED, message)


def permission_denied(message: str) -> MomentoError:
    return MomentoError(grpc.StatusCode.PERMISSION_DENIED, f"Insufficient permissions: {message}")


def failed_precondition(message: str) -> MomentoError:
    return MomentoError(grpc.StatusCode.FAILED_PRECONDITION, message)


def limit_exceeded(message: str, cause: str) -> MomentoError:
    return MomentoError(grpc.StatusCode.RESOURCE_EXHAUSTED, message, cause)


def cache_not_found(name: str) -> MomentoError:
    return MomentoError(grpc.StatusCode.NOT_FOUND, f"Cache not found: {name}", "cache_not_found")
