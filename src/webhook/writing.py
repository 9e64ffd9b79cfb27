"""Writes to the cache: what a topic's function returns, to be made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from momento.errors import MomentoErrorCode
from momento.responses.mixins import ErrorResponseMixin

if TYPE_CHECKING:
    from collections.abc import Callable

    from momento import CacheClient
    from momento.responses.response import CacheResponse

    Write = Callable[[CacheClient], None]
    """Makes the write, or raises `WriteError`."""


class WriteError(Exception):
    """Momento did not take a write, or nobody knows whether it did."""

    def __init__(self, code: MomentoErrorCode) -> None:
        super().__init__(f"Momento answered {code.name}")
        self.unavailable = code is MomentoErrorCode.SERVER_UNAVAILABLE


def check(response: CacheResponse) -> None:
    """Raises `WriteError` where the response is an error."""
    if isinstance(response, ErrorResponseMixin):
        raise WriteError(response.error_code)
