"""The command that makes a sample event acceptable now."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.webhook_signature import sign
from tests.support.project import ROOT
from tests.support.stack_facts import FACTS


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local.sign_event", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_signs_with_fresh_times() -> None:
    result = run("events/webhook/200_stored.json", "--secret", "s3cret")
    event = json.loads(result.stdout)
    assert event["headers"]["momento-signature"] == sign(event["body"].encode(), "s3cret")
    assert abs(json.loads(event["body"])["publish_timestamp"] / 1000 - time.time()) < 30


def test_keeps_the_times_where_asked() -> None:
    event = json.loads(run("events/webhook/403_stale.json", "--secret", "s", "--keep-times").stdout)
    assert event["body"] == json.loads((ROOT / "events/webhook/403_stale.json").read_text())["body"]
    assert event["headers"]["momento-signature"] == sign(event["body"].encode(), "s")


def test_takes_secret_and_url_from_the_running_stack(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text(FACTS.to_json())
    event = json.loads(run("events/webhook/400_not_json.json", "--state-dir", tmp_path).stdout)
    assert event["headers"]["momento-signature"] == sign(event["body"].encode(), FACTS.signing_secret)


def test_says_what_to_do_without_a_stack(tmp_path: Path) -> None:
    result = run("events/webhook/200_stored.json", "--state-dir", tmp_path)
    assert result.returncode == 1
    assert "make run" in result.stderr


def test_a_command_needs_the_stack_for_the_url_if_none_is_given(tmp_path: Path) -> None:
    event = "events/webhook/200_stored.json"
    result = run(event, "--secret", "s", "--curl", "--state-dir", tmp_path)
    assert result.returncode == 1
    assert "make run" in result.stderr
    assert "--url" in result.stderr


def test_a_command_for_another_webhook_needs_no_stack(tmp_path: Path) -> None:
    event, url = "events/webhook/200_stored.json", "https://webhook.example.com/"
    command = run(event, "--secret", "s3cret", "--url", url, "--state-dir", tmp_path).stdout
    # What stands in for curl prints its arguments.
    arguments = (
        subprocess.run(
            ["bash", "-c", f"curl() {{ printf '%s\\0' \"$@\"; }}; {command}"], capture_output=True, check=True
        )
        .stdout.decode()
        .split("\0")
    )
    body = arguments[arguments.index("--data-raw") + 1]
    assert url in arguments
    assert f"momento-signature: {sign(body.encode(), 's3cret')}" in arguments


@pytest.mark.parametrize("body", [b'{"publish_timestamp": 1}', b"\xff\x00"])
def test_signs_the_bytes_of_an_encoded_body(tmp_path: Path, body: bytes) -> None:
    encoded = {"body": base64.b64encode(body).decode(), "isBase64Encoded": True, "headers": {}}
    (tmp_path / "event.json").write_text(json.dumps(encoded))
    event = json.loads(run(tmp_path / "event.json", "--secret", "s3cret").stdout)
    signed = base64.b64decode(event["body"])
    assert event["headers"]["momento-signature"] == sign(signed, "s3cret")
    assert event["isBase64Encoded"]
    if body.startswith(b"{"):
        assert abs(json.loads(signed)["publish_timestamp"] / 1000 - time.time()) < 30
    else:
        assert signed == body


def test_a_command_sends_the_bytes_of_an_encoded_body(tmp_path: Path) -> None:
    body = b"\xff\x00\r\n"
    encoded = {"body": base64.b64encode(body).decode(), "isBase64Encoded": True, "headers": {}}
    (tmp_path / "event.json").write_text(json.dumps(encoded))
    (tmp_path / "stack.json").write_text(FACTS.to_json())
    command = run(tmp_path / "event.json", "--curl", "--state-dir", tmp_path).stdout
    # What stands in for curl prints what would be sent.
    sent = subprocess.run(["bash", "-c", f"curl() {{ cat; }}; {command}"], capture_output=True, check=True)
    assert sent.stdout == body


def test_says_what_it_cannot_sign() -> None:
    for path in ("events/missing.json", "events/publisher/published_1.json", "Makefile"):
        result = run(path, "--secret", "x")
        assert result.returncode == 1
        assert "Traceback" not in result.stderr
