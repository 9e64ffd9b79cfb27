"""What SAM's local commands are given, and what `make sam-local` says if it cannot run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from urllib.parse import urlsplit

import pytest

from tests.support.project import ROOT
from tests.support.running_stack import Stack

CONFIGURATION = tomllib.loads((ROOT / "samconfig.toml").read_text())


def test_containers_get_the_functions_environment_with_the_hosts_address(stack: Stack) -> None:
    environments = json.loads((stack.state_dir / "sam-environment.json").read_text())
    assert set(environments) == {
        "TokenVendorFunction",
        "PublisherFunction",
        "WebhookFunction",
        "RelayFunction",
    }
    aws_port = urlsplit(stack.facts["aws_endpoint_url"]).port
    for environment in environments.values():
        assert environment["MOMENTO_LOCAL"] == f"host.docker.internal:{stack.facts['momento']['port']}"
        assert environment["AWS_ENDPOINT_URL"] == f"http://host.docker.internal:{aws_port}"
        assert environment["CACHE_NAME"] == stack.facts["cache"]
    secrets = stack.aws("secretsmanager")
    secret = secrets.get_secret_value(SecretId=environments["WebhookFunction"]["WEBHOOK_SIGNING_SECRET"])
    assert secret["SecretString"] == stack.facts["signing_secret"]
    webhook_port = urlsplit(stack.facts["webhook_url"]).port
    assert environments["RelayFunction"]["WEBHOOK_URL"] == f"http://host.docker.internal:{webhook_port}/"
    tables = stack.aws("dynamodb").list_tables()["TableNames"]
    assert environments["WebhookFunction"]["IDEMPOTENCY_TABLE"] in tables


def test_a_build_for_sam_local_is_for_this_machine(stack: Stack) -> None:
    parameters = tomllib.loads((stack.state_dir / "sam-parameters.toml").read_text())
    machine = os.uname().machine
    assert parameters == {"Architecture": {"aarch64": "arm64"}.get(machine, machine)}


@pytest.mark.parametrize("command", ["local_invoke", "local_start_api", "local_start_lambda"])
def test_sam_runs_functions_on_the_local_stack_without_flags(command: str, stack: Stack) -> None:
    profiles = [CONFIGURATION[name] for name in ("default", "local")]
    [options, with_flag] = [one["global"]["parameters"] | one[command]["parameters"] for one in profiles]
    assert with_flag.items() <= options.items()
    build_dir = CONFIGURATION["local"]["build"]["parameters"]["build_dir"]
    assert options["template_file"] == f"{build_dir}/template.yaml"
    files = [options["env_vars"], options["parameter_overrides"].removeprefix("file://")]
    assert files == [".local/sam-environment.json", ".local/sam-parameters.toml"]
    assert options["add_host"].startswith("host.docker.internal:")
    assert options["region"] == stack.aws("dynamodb").meta.region_name


def test_an_event_that_does_not_exist_is_reported() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "local.sam", "webhook/200_none.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "there is no event webhook/200_none.json in events/" in run.stderr


def test_without_docker_it_says_what_is_missing() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "local.sam"],
        cwd=ROOT,
        env={**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "no Docker engine answers" in run.stdout
    assert "make docker" in run.stdout
    assert "Traceback" not in run.stdout + run.stderr
