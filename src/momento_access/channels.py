"""Connections to Momento's services, for what the SDK's clients cannot do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import momento

if TYPE_CHECKING:
    from collections.abc import Sequence

    from momento import CredentialProvider

_TLS_PORT = 443


def open_channel(endpoint: str, port: int, options: Sequence[tuple[str, str | int]]) -> grpc.Channel:
    """A channel with gRPC's `options`, encrypted except to a local Momento, which has a port of its own."""
    if port == _TLS_PORT:
        return grpc.secure_channel(endpoint, grpc.ssl_channel_credentials(), options=options)
    return grpc.insecure_channel(f"{endpoint}:{port}", options=options)


def call_metadata(credentials: CredentialProvider, client: str) -> tuple[tuple[str, str], ...]:
    """What Momento wants to know with each call: who calls, and with which of the SDK's clients."""
    return (("authorization", credentials.auth_token), ("agent", f"python:{client}:{momento.__version__}"))
