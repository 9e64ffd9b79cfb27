"""What is packaged with the functions and what is in the Lambda runtime: they need no more, and no less."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from local.sign_event import sign_event
from tests.support.project import SOURCE
from tests.support.sample_events import sample_event
from tests.support.webhook_requests import SIGNING_SECRET

IN_THE_RUNTIME = {"boto3", "botocore", "python-dateutil", "s3transfer", "six", "urllib3"}

INVOKE = """
import importlib, json, sys, types
handler = importlib.import_module(sys.argv[1]).lambda_handler
context = types.SimpleNamespace(
    function_name="function", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="request",
    get_remaining_time_in_millis=lambda: 30000,
)
answer = handler(json.load(sys.stdin), context)
files = [module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)]
print(json.dumps({"answer": answer, "files": files}))
"""


def packaged() -> set[str]:
    """Return the distributions that `sam build` installs."""
    return set(re.findall(r"^([a-z0-9-]+)==", (SOURCE / "requirements.txt").read_text(), re.MULTILINE))


@pytest.fixture
def site_packages(tmp_path: Path) -> Path:
    """Return a folder with the distributions that exist on Lambda."""
    for name in packaged() | IN_THE_RUNTIME:
        distribution = metadata.distribution(name)
        for top_level in {file.parts[0] for file in distribution.files or []} - {".."}:
            (tmp_path / top_level).symlink_to(str(distribution.locate_file(top_level)))
    return tmp_path


def test_the_functions_import_every_pinned_distribution_and_no_other(
    site_packages: Path, environment: dict[str, str]
) -> None:
    def invoke(function: str, event: dict[str, Any]) -> dict[str, Any]:
        """Invoke a function in a new process, and note what it has imported."""
        process = subprocess.run(
            [sys.executable, "-S", "-c", INVOKE, f"{function}.handler"],
            input=json.dumps(event),
            env={**environment, "PYTHONPATH": f"{SOURCE}:{site_packages}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        result = json.loads(process.stdout.splitlines()[-1])
        imported.update(result["files"])
        answer: dict[str, Any] = result["answer"]
        return answer

    imported: set[str] = set()
    comment = sign_event(sample_event("webhook/200_stored.json"), SIGNING_SECRET, time.time())
    assert invoke("token_vendor", sample_event("token_vendor/200_with_courses.json"))["statusCode"] == 200
    assert invoke("publisher", sample_event("publisher/published_1.json"))["published"] == 1
    assert invoke("webhook", comment)["statusCode"] == 200

    unused = {
        name
        for name in packaged()
        if not any(str(site_packages / file) in imported for file in metadata.distribution(name).files or [])
    }
    assert unused == set()
    assert not packaged() & IN_THE_RUNTIME
