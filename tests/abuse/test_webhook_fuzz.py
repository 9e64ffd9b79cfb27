"""Nothing but what is signed, just now, and of the form is accepted; and nothing wears out."""

from __future__ import annotations

import gc
import io
import json
import logging
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from random import Random

import psutil
import pytest

from tests.abuse.mutations import Mutator, Signer
from tests.support.functions import Function
from tests.support.momento import Momento
from tests.support.sample_events import sample_event
from tests.support.webhook_requests import SIGNING_SECRET

INPUTS_OF_A_SEED = 25_000
INPUTS_SIGNED_AT_ONCE = 500
MORE_BYTES, MORE_OBJECTS = 4 * 1024 * 1024, 1000
"""What may be in use after the last two thirds of them: less than 250 bytes and 0.1 objects an input."""

REFUSED = {400, 403, 422}


class WatchedOutput(io.TextIOBase):
    """Takes what a function logs, and keeps the lines that hold a secret."""

    def __init__(self, *secrets: str) -> None:
        self.secrets = set(secrets)
        self.lines = 0
        self.leaks: list[str] = []

    def write(self, text: str) -> int:
        self.lines += 1
        if any(secret in text for secret in self.secrets):
            self.leaks.append(text)
        return len(text)


class AwsCalls:
    """The calls that are made to AWS services, as moto records them (in a file in the working directory)."""

    def __init__(self, endpoint: str) -> None:
        self._recorder = f"{endpoint}/moto-api/recorder"

    def start(self) -> None:
        self._call("reset-recording", "POST")
        self._call("start-recording", "POST")

    def stop(self) -> Counter[str]:
        self._call("stop-recording", "POST")
        recorded = self._call("download-recording", "GET").splitlines()
        return Counter(json.loads(line)["headers"]["X-Amz-Target"] for line in recorded)

    def _call(self, command: str, method: str) -> str:
        request = urllib.request.Request(f"{self._recorder}/{command}", method=method)  # noqa: S310
        with urllib.request.urlopen(request) as response:  # noqa: S310
            text: str = response.read().decode()
            return text


@pytest.fixture
def aws_calls(aws_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AwsCalls:
    monkeypatch.chdir(tmp_path)
    return AwsCalls(aws_endpoint)


@pytest.mark.parametrize("seed", range(4))
def test_no_mutation_of_a_request_is_accepted(
    seed: int,
    load: Callable[..., Function],
    momento: Momento,
    aws_calls: AwsCalls,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's, which keep every line.
    signer = Signer(SIGNING_SECRET, sample_event("webhook/200_stored.json"))
    mutator = Mutator(Random(seed), signer)  # noqa: S311
    outcomes: Counter[tuple[str, int]] = Counter()
    output = WatchedOutput(SIGNING_SECRET, momento.server.api_key, "the comment")
    with redirect_stdout(output):
        webhook = load("webhook")
        assert webhook(signer.request(10, f"before {seed}"))["statusCode"] == 200
        aws_calls.start()
        began = time.monotonic()
        for number in range(INPUTS_OF_A_SEED):
            if number % INPUTS_SIGNED_AT_ONCE == 0:
                mutator.renew()
                output.secrets.add(mutator.original["headers"]["momento-signature"])
            if number == INPUTS_OF_A_SEED // 3:
                bytes_in_use, objects_in_use = _memory_in_use()
            how, event, expected = (
                (*mutator.signed(), REFUSED) if number % 4 == 0 else (*mutator.unsigned(), {403})
            )
            status = webhook(event)["statusCode"]
            assert status in expected, f"seed {seed}, input {number}, {how}: {status} to {event!s:.3000}"
            outcomes[how, status] += 1
        more_bytes, more_objects = (
            after - before
            for after, before in zip(_memory_in_use(), (bytes_in_use, objects_in_use), strict=True)
        )
        seconds = time.monotonic() - began
        calls = aws_calls.stop()
        assert webhook(signer.request(11, f"after {seed}"))["statusCode"] == 200
    stored = [entry["comment"] for entry in momento.entries("123")]
    assert stored[:2] == [f"after {seed}", f"before {seed}"]
    assert set(calls) <= {"secretsmanager.GetSecretValue"}  # Not one message was looked up in DynamoDB.
    assert calls.total() <= 2 + seconds
    assert {how for how, _ in outcomes} == mutator.ways
    assert {status for _, status in outcomes} == REFUSED
    assert output.leaks == []
    assert more_bytes < MORE_BYTES
    assert more_objects < MORE_OBJECTS
    assert output.lines >= INPUTS_OF_A_SEED


def _memory_in_use() -> tuple[int, int]:
    """Return the process's bytes in memory, and its interpreter's allocated blocks."""
    gc.collect()
    return psutil.Process().memory_info().rss, sys.getallocatedblocks()
