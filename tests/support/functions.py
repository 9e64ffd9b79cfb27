"""The functions' handlers in this process, each loaded as in a fresh one."""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import boto3
import pytest

from tests.support.project import SOURCE
from tests.support.webhook_requests import SIGNING_SECRET

TIMEOUTS = {"token_vendor": 10.0, "publisher": 30.0, "webhook": 5.0}


@dataclass
class Context:
    """What Lambda tells a function of its invocation."""

    timeout: float
    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:function"
    aws_request_id: str = "request"
    started: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return int((self.started + self.timeout - time.monotonic()) * 1000)


@dataclass(frozen=True)
class Function:
    """A function's handler, as loaded in a fresh process."""

    module: ModuleType
    timeout: float
    """Seconds, as the template has it."""

    def __call__(
        self, event: Any, timeout: float | None = None, request_id: str = "request"
    ) -> dict[str, Any]:
        context = Context(timeout or self.timeout, aws_request_id=request_id)
        answer: dict[str, Any] = self.module.lambda_handler(event, context)
        return answer


@contextlib.contextmanager
def as_a_new_process(environment: Mapping[str, str]) -> Iterator[None]:
    """Import the functions' modules as a new process does, with these environment variables."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        for module in loaded_from_source():
            patch.delitem(sys.modules, module)
        yield


def load_function(name: str, environment: Mapping[str, str]) -> Function:
    """Load a function's handler as a new process does, with these environment variables."""
    with as_a_new_process(environment):
        try:
            return Function(importlib.import_module(f"{name}.handler"), TIMEOUTS[name])
        finally:  # The handler stops garbage collection while it loads, and freezes what is there.
            gc.unfreeze()
            gc.enable()


def loaded_from_source() -> list[str]:
    """Return the functions' modules that this process has loaded."""
    return [
        name
        for name, module in sys.modules.items()
        if str(getattr(module, "__file__", None) or "").startswith(str(SOURCE))
    ]


def create_resources(values: dict[str, str], api_key: str) -> None:
    """Create the secrets, the queue and the table that the functions' environment names."""
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name=values["MOMENTO_API_KEY_SECRET"], SecretString=api_key)
    secrets.create_secret(Name=values["WEBHOOK_SIGNING_SECRET"], SecretString=SIGNING_SECRET)
    boto3.client("sqs").create_queue(QueueName=values["SPILL_QUEUE_URL"].rpartition("/")[2])
    boto3.client("dynamodb").create_table(
        TableName=values["IDEMPOTENCY_TABLE"],
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
