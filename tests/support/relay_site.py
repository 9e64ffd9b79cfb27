"""A relay, and everything around it that is its own."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import boto3
import pytest

from tests.support.aws_proxy import AwsProxy
from tests.support.momento import CACHE, TOPIC, Momento
from tests.support.project import SOURCE
from tests.support.waiting import SECONDS, wait_until
from tests.support.webhook_server import Webhook


class Running:
    """A relay on a thread."""

    def __init__(self, relay: Callable[..., dict[str, Any]], settings: Any, seconds: float) -> None:
        self._stop = threading.Event()
        self._outcome: Any = None
        ends_at = time.monotonic() + seconds
        self._thread = threading.Thread(target=self._run, args=(relay, settings, ends_at))
        self._thread.start()

    def is_running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> dict[str, Any]:
        """Stop it, and return its result."""
        self._stop.set()
        return self.result()

    def result(self) -> dict[str, Any]:
        """Wait until it ends, and return its result."""
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        outcome: dict[str, Any] = self._outcome
        return outcome

    def _run(self, relay: Callable[..., dict[str, Any]], settings: Any, ends_at: float) -> None:
        try:
            self._outcome = relay(settings, self._stop, ends_at)
        except Exception as error:  # noqa: BLE001 - raised where it is asked for
            self._outcome = error


class Site:
    """One relay's surroundings, which nothing else uses."""

    def __init__(
        self, momento: Momento, webhook: Webhook, aws_proxy: AwsProxy, environment: dict[str, str]
    ) -> None:
        self.momento = momento
        self.aws = aws_proxy
        self.webhook = webhook
        self.environment = environment
        self._settings = importlib.import_module("relay.settings")
        self._run = importlib.import_module("relay.run")
        self._running: list[Running] = []
        self._processes: list[subprocess.Popen[str]] = []

    def settings(
        self, *, max_messages_behind: int = 500, max_bytes_in_hand: int = 50_000_000, **durations: float
    ) -> Any:
        """Return the settings that the environment gives; the relay is quicker than usual."""
        quick = {"lease": 2.0, "renewal": 0.1, "checkpoint": 0.05, "poll": 0.05, "report": 0.1, **durations}
        settings = self._settings.Settings.from_environ(self.environment)
        return dataclasses.replace(
            settings,
            max_messages_behind=max_messages_behind,
            max_bytes_in_hand=max_bytes_in_hand,
            durations=self._settings.Durations(**quick),
        )

    def start(self, seconds: float = math.inf, **changes: Any) -> Running:
        """Start a relay on a thread, which ends after `seconds`; `changes` are those of `settings`."""
        self._running.append(Running(self._run.relay, self.settings(**changes), seconds))
        return self._running[-1]

    def start_process(self, **changes: str) -> subprocess.Popen[str]:
        """Start a relay as a process."""
        self._processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "relay"],
                cwd=SOURCE,
                env={**os.environ, **self.environment, **changes},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return self._processes[-1]

    def handler(self, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        """Return the function's handler, with this environment."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delitem(sys.modules, "relay.handler", raising=False)
        return importlib.import_module("relay.handler")

    def shut_aws(self) -> None:
        """Make DynamoDB and SQS answer 500 to the relay, until `open_aws`."""
        self.aws.troubles.update(UpdateItem="fail", SendMessage="fail")

    def open_aws(self) -> None:
        self.aws.troubles.clear()

    def put_secret(self, name: str, value: str) -> None:
        boto3.client("secretsmanager").put_secret_value(SecretId=self.environment[name], SecretString=value)

    def dead_letters(self) -> list[dict[str, Any]]:
        """Return the bodies in the dead-letter queue, each once."""
        return self._received("DEAD_LETTER_QUEUE_URL")

    def spilled(self) -> list[dict[str, Any]]:
        """Return the bodies in the spill queue, each once."""
        return self._received("SPILL_QUEUE_URL")

    def _received(self, queue: str) -> list[dict[str, Any]]:
        answer = boto3.client("sqs").receive_message(QueueUrl=self.environment[queue], MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]

    def item(self) -> dict[str, Any]:
        """Return the attributes of the relay's item in DynamoDB, or none if there is no item yet."""
        answer = boto3.client("dynamodb").scan(TableName=self.environment["RELAY_TABLE"], ConsistentRead=True)
        return {name: next(iter(value.values())) for item in answer["Items"] for name, value in item.items()}

    def saved(self, topic: str = TOPIC) -> int | None:
        """Return the sequence number that is saved for a topic, or None if there is none yet."""
        bookmark = self.item().get("bookmarks", {}).get(f"{CACHE}/{topic}")
        return None if bookmark is None else int(bookmark["M"]["number"]["N"])

    def wait_for_saved(self, number: int) -> None:
        """Wait until the relay has saved this sequence number."""
        wait_until(lambda: self.saved() == number)

    def clean_up(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        for running in self._running:
            running.stop()
