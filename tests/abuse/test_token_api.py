"""The token API keeps to docs/openapi.yaml, whatever it is asked, and by whom."""

from __future__ import annotations

import base64
import json
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.project import ROOT
from tests.support.running_stack import Stack, running_stack

DOCUMENT = ROOT / "docs" / "openapi.yaml"

BLANK = "\u115f\u1160\u3164\uffa0\u2800\U0001d159"
"""Letters and symbols that show nothing, which names cannot have."""

schemathesis.openapi.format(
    "printable", st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters=BLANK), min_size=1)
)


def asks_for_more_than_a_schema_can_exclude(body: Any) -> bool:
    """Return whether a body asks for too many ids in all, or for ids of topics that are not on."""
    if not isinstance(body, dict) or not isinstance(reads := body.get("reads", {}), dict):
        return False
    lists = [ids for ids in [body.get("courseIds"), *reads.values()] if isinstance(ids, list)]
    return sum(map(len, lists)) > 10 or any(ids for topic, ids in reads.items() if topic != "comment")


api = schemathesis.openapi.from_path(DOCUMENT)
# An HTTP API answers 404 to other methods, and the document says nothing about them.
api.config.checks.unsupported_method.enabled = False
post_token = api.include(method="POST")

reproducible = settings(derandomize=True, deadline=None, database=None)


@pytest.fixture(scope="session")
def jwt(stack: Stack) -> str:
    return stack.jwt()


def base_url(stack: Stack) -> str:
    url: str = stack.facts["token_url"].removesuffix("/token")
    return url


def check_is_documented(answer: requests.Response | schemathesis.Response) -> None:
    """Check the status, headers and body of the answer to a POST."""
    checks = schemathesis.checks
    api["/token"]["POST"].Case().validate_response(
        answer,
        checks=[
            checks.status_code_conformance,
            checks.content_type_conformance,
            checks.response_headers_conformance,
            checks.response_schema_conformance,
        ],
    )


@api.parametrize()
@settings(reproducible, max_examples=300)
def test_every_request_is_answered_as_documented(
    case: schemathesis.Case[Any], stack: Stack, jwt: str
) -> None:
    beyond = asks_for_more_than_a_schema_can_exclude(case.body)
    case.call_and_validate(
        base_url(stack),
        headers={"Authorization": f"Bearer {jwt}"},
        excluded_checks=[schemathesis.checks.positive_data_acceptance] if beyond else [],
    )


def asks_for_nothing(body: bytes) -> bool:
    """Return whether a body is empty or a JSON object, which random bytes do not fill with known names."""
    try:
        return not body.strip() or isinstance(json.loads(body), dict)
    except ValueError:
        return False


@settings(reproducible, max_examples=200)
@given(
    body=st.binary(max_size=200),
    content_type=st.sampled_from(["application/json", "text/plain", "application/octet-stream", "\xff", ""]),
)
def test_any_bytes_are_answered_as_documented(body: bytes, content_type: str, stack: Stack, jwt: str) -> None:
    headers: dict[str, str | bytes] = {
        "Authorization": f"Bearer {jwt}",
        "Content-Type": content_type.encode("latin-1"),
    }
    answer = requests.post(stack.facts["token_url"], body, headers=headers, timeout=10)
    check_is_documented(answer)
    assert answer.status_code == (200 if asks_for_nothing(body) else 400)


def _tampered(jwt: str) -> str:
    signed, _, signature = jwt.rpartition(".")
    return f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def _unsigned(jwt: str) -> str:
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode().rstrip("=")
    return f"{header}.{jwt.split('.')[1]}."


@pytest.mark.parametrize(
    "credentials",
    [lambda _: "", lambda _: "Bearer", lambda _: "Bearer no.jwt.this", _tampered, _unsigned],
    ids=["none", "no token", "no jwt", "tampered", "unsigned"],
)
@post_token.parametrize()
@settings(reproducible, max_examples=25)
def test_without_a_valid_jwt_every_request_is_refused(
    case: schemathesis.Case[Any], credentials: Callable[[str], str], stack: Stack, jwt: str
) -> None:
    answer = case.call(base_url(stack), headers={"Authorization": credentials(jwt)})
    if answer.request.method == "POST":
        check_is_documented(answer)
        assert answer.status_code == 401


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [("resource-exhausted", 429, "1"), ("unavailable", 502, None), ("permission-denied", 502, None)],
)
def test_a_failure_of_momento_is_answered_as_documented(
    error: str, status: int, retry_after: str | None, stack: Stack
) -> None:
    jwt = stack.jwt("jordan")  # The other tests use up what taylor may have.
    new_courses = {"courseIds": [error]}
    with _minting_fails(stack, error):
        answer = requests.post(
            stack.facts["token_url"], json=new_courses, headers={"Authorization": f"Bearer {jwt}"}, timeout=10
        )
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, retry_after)
    check_is_documented(answer)


@contextmanager
def _minting_fails(stack: Stack, error: str) -> Iterator[None]:
    def admin(path: str, **query: str) -> None:
        urllib.request.urlopen(f"{stack.facts['momento']['admin_url']}{path}?{urlencode(query)}").close()  # noqa: S310

    admin("/fail", rpcs="generate-disposable-token", error=error)
    try:
        yield
    finally:
        admin("/clear-faults")


def test_requests_beyond_the_limit_are_throttled_and_the_others_served(tmp_path: Path) -> None:
    limits = ("--parameter", "TokenRateLimit=1", "--parameter", "TokenBurstLimit=5")
    with running_stack(tmp_path, *limits) as stack, ThreadPoolExecutor(40) as pool:
        url, headers = stack.facts["token_url"], {"Authorization": f"Bearer {stack.jwt()}"}

        def ask(_: int = 0) -> requests.Response:
            return requests.post(url, headers=headers, timeout=20)

        began = time.monotonic()
        answers = list(pool.map(ask, range(40)))
        allowed = 5 + int(time.monotonic() - began) + 1
        for answer in answers:
            check_is_documented(answer)
        served = Counter(answer.status_code for answer in answers)
        assert set(served) == {200, 429}
        assert 3 <= served[200] <= allowed  # One was spent on the round trip at the start.
        while (answer := ask()).status_code == 429:
            assert time.monotonic() - began < 20
        assert answer.status_code == 200
