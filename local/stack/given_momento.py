"""A Momento that the stack uses but does not start: your account's, or another server."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from momento import CredentialProvider
from momento.errors import SdkException

from local.stack.facts import MOMENTO_PORT, MomentoFacts

_ENDPOINT = re.compile(r"(?P<host>[A-Za-z0-9.-]+)(:(?P<port>\d{1,5}))?")


class GivenMomentoError(ValueError):
    """MOMENTO_API_KEY or MOMENTO_ENDPOINT is missing or malformed. The message says what to do."""


@dataclass(frozen=True)
class GivenMomento:
    """The address of a Momento, and an API key that may mint tokens and write to the cache."""

    api_key: str
    host: str
    port: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self | None:
        """Return the Momento of MOMENTO_API_KEY and MOMENTO_ENDPOINT, or None if neither is set.

        An endpoint with a port means a Momento without TLS. Raise GivenMomentoError.
        """
        api_key, endpoint = environment.get("MOMENTO_API_KEY"), environment.get("MOMENTO_ENDPOINT")
        if not api_key and not endpoint:
            return None
        if not api_key or not endpoint:
            raise GivenMomentoError(
                f"{'MOMENTO_ENDPOINT' if api_key else 'MOMENTO_API_KEY'} is not set. To use your own "
                "Momento, set MOMENTO_API_KEY and MOMENTO_ENDPOINT; with neither, the stack starts one."
            )
        parts = _ENDPOINT.fullmatch(endpoint)
        if not parts:
            raise GivenMomentoError(
                f"MOMENTO_ENDPOINT is {endpoint!r}, which is not of the form "
                "cell-4-us-west-2-1.prod.a.momentohq.com or 127.0.0.1:8080."
            )
        try:
            CredentialProvider.from_api_key_v2(api_key, parts["host"])
        except SdkException as error:
            raise GivenMomentoError(
                "MOMENTO_API_KEY is not a v2 API key. Create one in Momento's console."
            ) from error
        return cls(api_key, parts["host"], int(parts["port"] or MOMENTO_PORT))

    @property
    def facts(self) -> MomentoFacts:
        """Return the address for `stack.json`, without the key."""
        return MomentoFacts(self.host, self.port, web_url=None, admin_url=None, api_key=None)
