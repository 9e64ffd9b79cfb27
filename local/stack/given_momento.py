"""A Momento that the stack uses and does not start: your account's, or one that runs elsewhere."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from momento import CredentialProvider
from momento.errors import SdkException

from local.stack.facts import MOMENTO_PORT, MomentoFacts

_ENDPOINT = re.compile(r"(?P<host>[A-Za-z0-9.-]+)(:(?P<port>\d{1,5}))?")


class GivenMomentoError(ValueError):
    """What the environment says of a Momento is incomplete or malformed. The message says what to do."""


@dataclass(frozen=True)
class GivenMomento:
    """Where it is, and a key that may mint tokens and write to the cache there."""

    api_key: str
    host: str
    port: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self | None:
        """Return what MOMENTO_API_KEY and MOMENTO_ENDPOINT say, None where neither is set.

        An endpoint with a port is of a Momento without TLS. Raises GivenMomentoError.
        """
        api_key, endpoint = environment.get("MOMENTO_API_KEY"), environment.get("MOMENTO_ENDPOINT")
        if not api_key and not endpoint:
            return None
        if not api_key or not endpoint:
            raise GivenMomentoError(
                f"{'MOMENTO_ENDPOINT' if api_key else 'MOMENTO_API_KEY'} is not set. To use a Momento of "
                "yours, set MOMENTO_API_KEY and MOMENTO_ENDPOINT; with neither, the stack starts its own."
            )
        parts = _ENDPOINT.fullmatch(endpoint)
        if not parts:
            raise GivenMomentoError(
                f"MOMENTO_ENDPOINT is {endpoint!r}, and not of the form "
                "cell-4-us-west-2-1.prod.a.momentohq.com or 127.0.0.1:8080."
            )
        try:
            CredentialProvider.from_api_key_v2(api_key, parts["host"])
        except SdkException as error:
            raise GivenMomentoError(
                "MOMENTO_API_KEY is not a v2 API key, which is what Momento's console makes."
            ) from error
        return cls(api_key, parts["host"], int(parts["port"] or MOMENTO_PORT))

    @property
    def facts(self) -> MomentoFacts:
        """What others are told: not the key."""
        return MomentoFacts(self.host, self.port, web_url=None, admin_url=None, api_key=None)
