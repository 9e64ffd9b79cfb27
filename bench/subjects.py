"""The functions to measure, ours and the reference's. Each run starts a new process."""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from bench.events import publisher_event, token_event, webhook_events
from bench.package import Package
from bench.stack import ROOT
from local.aws.credentials import LOCAL_CREDENTIALS
from local.cloudformation.template import REGION, Template
from local.serving.child_process import clean_environment

_BENCH = Path(__file__).parent
_SECONDS_FOR_A_RUN = 300

REFERENCE_API_KEY_SECRET = "bench-reference-api-key"  # noqa: S105 - a name
REFERENCE_SIGNING_SECRET = "bench-reference-signing-secret"  # noqa: S105 - a name


Events = Callable[[int], list[dict[str, Any]]]
"""Return the given number of events, or fewer that are used repeatedly."""


class MeasurementError(Exception):
    """A function failed or gave a wrong answer, so its measurements are useless."""


@dataclass(frozen=True, slots=True)
class Run:
    """The measurements of one process. Times are in milliseconds; those named `cpu` are processor time."""

    load_ms: float
    first_ms: float
    process_ms: float
    """From the start of the process to the first answer."""
    warm_ms: tuple[float, ...]
    cpu_load_ms: float
    cpu_first_ms: float
    cpu_warm_ms: float
    peak_memory_bytes: int
    statuses: Mapping[str, int]

    @property
    def cold_ms(self) -> float:
        """Return load plus first answer."""
        return self.load_ms + self.first_ms


@dataclass(frozen=True, slots=True)
class Subject:
    """A function, and how to run it.

    `accepts` returns whether a status is correct. With `cold_only`, only cold starts are measured.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    events: Events
    accepts: Callable[[str], bool]
    cold_only: bool = False

    def run(self, warm: int, command_prefix: Sequence[str] = ()) -> Run:
        """Measure a new process, with `warm` more invocations after the first. Raise `MeasurementError`."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as events_file:
            json.dump(self.events(warm + 1), events_file)
            events_file.flush()
            try:
                process = subprocess.run(
                    [*command_prefix, *self.command, events_file.name, str(warm)],
                    env={
                        **clean_environment(),
                        **self.environment,
                        "BENCH_STARTED": str(time.time() * 1000),
                    },
                    capture_output=True,
                    text=True,
                    timeout=_SECONDS_FOR_A_RUN,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                message = f"{self.name} did not end within {_SECONDS_FOR_A_RUN} s"
                raise MeasurementError(message) from None
        if process.returncode or not process.stdout:
            raise MeasurementError(f"{self.name} ended with {process.returncode}: {process.stderr[-2000:]}")
        measured = json.loads(process.stdout)
        run = Run(**{**measured, "warm_ms": tuple(measured["warm_ms"])})
        if wrong := [status for status in run.statuses if not self.accepts(status)]:
            raise MeasurementError(f"{self.name} answered {', '.join(wrong)}")
        return run

    def with_environment(self, name: str, **variables: str) -> Self:
        """Return this subject with another name and additional environment variables."""
        return replace(self, name=name, environment={**self.environment, **variables})


def our_functions(
    package: Package,
    environments: Mapping[str, Mapping[str, str]],
    facts: Mapping[str, Any],
    momento: str,
) -> dict[str, Subject]:
    """Return the template's functions, with the environment variables that they have in the stack.

    `environments` are these variables by logical id, `facts` is the stack's `stack.json`, and `momento` is
    the `host:port` of Momento.
    """
    template = Template.load(ROOT / "template.yaml", {"MomentoApiKey": "unused"})
    declared = template.resources("AWS::Serverless::Function")

    def subject(
        name: str,
        function: str,
        events: Events,
        accepts: Callable[[str], bool],
    ) -> Subject:
        return Subject(
            name,
            (package.python, str(_BENCH / "run_function.py"), declared[function]["Handler"]),
            {
                **environments[function],
                **_aws_environment(facts),
                "MOMENTO_LOCAL": momento,
                # The loop's longer lists would exceed Momento's limit of 1 MB after many runs.
                "COMMENT_LIST_LENGTH": str(template.parameters["CommentListLength"]),
                "PYTHONPATH": ":".join(map(str, package.path)),
                "AWS_LAMBDA_FUNCTION_NAME": function,
            },
            events,
            accepts,
        )

    return {
        "webhook": subject("webhook", "WebhookFunction", _signed_events(facts), _is_ok),
        "publisher": subject("publisher", "PublisherFunction", lambda _: [publisher_event()], _is_published),
        "token vendor": subject(
            "token vendor",
            "TokenVendorFunction",
            lambda count: [token_event(f"user{number}") for number in range(count)],
            _is_ok,
        ),
        "token vendor, same user": subject(
            "token vendor, same user", "TokenVendorFunction", lambda _: [token_event("taylor")], _is_ok
        ),
    }


def reference_functions(folder: Path, facts: Mapping[str, Any], momento: str) -> dict[str, Subject]:
    """Return the reference's bundled webhook and publisher in `folder`. The publisher mints its own token."""
    endpoint = {"endpoint": momento, "secureConnection": False}
    overrides = dict.fromkeys(
        ("cacheEndpoint", "controlEndpoint", "tokenEndpoint", "storageEndpoint"), endpoint
    )
    environment = {
        **_aws_environment(facts),
        "MOMENTO_API_KEY_SECRET_NAME": REFERENCE_API_KEY_SECRET,
        "THE_SIGNING_SECRET": REFERENCE_SIGNING_SECRET,
        "MOMENTO_ENDPOINT_OVERRIDES": json.dumps(overrides),
    }

    def subject(name: str, events: Events, accepts: Callable[[str], bool]) -> Subject:
        command = ("node", str(_BENCH / "run_reference.js"), str(folder / f"{name}.js"))
        return Subject(f"reference {name}", command, environment, events, accepts)

    return {
        "webhook": subject("webhook", _signed_events(facts), _is_ok),
        # With the SDK version in its bundle, it mints a token and then answers 500.
        "publisher": subject("publisher", lambda _: [{}], lambda status: status in {"200", "500"}),
    }


def _signed_events(facts: Mapping[str, Any]) -> Events:
    return lambda count: webhook_events(count, facts["signing_secret"], facts["cache"], facts["topic"])


def _aws_environment(facts: Mapping[str, Any]) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": facts["aws_endpoint_url"],
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": LOCAL_CREDENTIALS.access_key_id,
        "AWS_SECRET_ACCESS_KEY": LOCAL_CREDENTIALS.secret_access_key,
        "AWS_SESSION_TOKEN": LOCAL_CREDENTIALS.session_token,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }


def _is_ok(status: str) -> bool:
    return status == "200"


def _is_published(status: str) -> bool:
    return status == "published"
