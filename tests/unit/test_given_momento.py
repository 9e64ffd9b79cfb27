"""What the environment says of a Momento to use."""

from __future__ import annotations

import pytest

from local.momento.auth import make_api_key
from local.stack.given_momento import GivenMomento, GivenMomentoError

KEY = make_api_key()
CELL = "cell-4-us-west-2-1.prod.a.momentohq.com"


@pytest.mark.parametrize(
    ("endpoint", "host", "port", "local_address"),
    [(CELL, CELL, 443, ""), ("127.0.0.1:8080", "127.0.0.1", 8080, "127.0.0.1:8080")],
)
def test_a_momento_is_given_by_a_key_and_an_endpoint(
    endpoint: str, host: str, port: int, local_address: str
) -> None:
    given = GivenMomento.from_environment({"MOMENTO_API_KEY": KEY, "MOMENTO_ENDPOINT": endpoint})
    assert given == GivenMomento(KEY, host, port)
    assert given.facts.local_address == local_address


@pytest.mark.parametrize("environment", [{}, {"MOMENTO_API_KEY": "", "MOMENTO_ENDPOINT": ""}])
def test_without_either_none_is_given(environment: dict[str, str]) -> None:
    assert GivenMomento.from_environment(environment) is None


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"MOMENTO_API_KEY": KEY}, "MOMENTO_ENDPOINT is not set"),
        ({"MOMENTO_ENDPOINT": CELL}, "MOMENTO_API_KEY is not set"),
        ({"MOMENTO_API_KEY": KEY, "MOMENTO_ENDPOINT": f"https://{CELL}"}, "not of the form"),
        ({"MOMENTO_API_KEY": KEY, "MOMENTO_ENDPOINT": f"{CELL}:x"}, "not of the form"),
        ({"MOMENTO_API_KEY": "key", "MOMENTO_ENDPOINT": CELL}, "MOMENTO_API_KEY is not a v2 API key"),
    ],
)
def test_a_missing_or_malformed_variable_is_reported(environment: dict[str, str], complaint: str) -> None:
    with pytest.raises(GivenMomentoError, match=complaint):
        GivenMomento.from_environment(environment)
