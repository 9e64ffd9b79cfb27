"""`sam deploy --guided` in a terminal, against a local AWS, for a newcomer who accepts every default."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from moto.cloudformation import parsing
from moto.server import ThreadedMotoServer
from samcli.yamlhelper import yaml_parse

from tests.support.aws_client import aws_client
from tests.support.project import ROOT
from tests.support.sam_cli import SamCli

# moto can create few of the resources.
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")

STACK = "momento-realtime-identity"
BUCKET = "uploads"
API_KEY = "the-momento-api-key"
NO_AUTHENTICATION = "WebhookFunction Function Url has no authentication. Is this okay?"
ANSWERS = {"Parameter MomentoApiKey": API_KEY, NO_AUTHENTICATION: "y"}
"""To every other question, the answer is Enter."""

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
STYLES = re.compile(r"\x1b\[[0-9;]*m")
QUESTION = re.compile(r"^\s*(?P<text>Parameter \w+|[^\[\]\n]+(?= \[))(?: \[(?P<default>[^\]\n]*)\])?: $")


@dataclass
class Dialogue:
    """SAM's questions in their order, each with its default, and everything that was on the screen."""

    questions: dict[str, str | None] = field(default_factory=dict)
    screen: str = ""
    exit_code: int | None = None


class Aws:
    """A local AWS account in which SAM was used before, because moto cannot create SAM's own stack."""

    def __init__(self, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url
        managed = {
            "Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": BUCKET}}},
            "Outputs": {"SourceBucket": {"Value": BUCKET}},
        }
        self.client("cloudformation").create_stack(
            StackName="aws-sam-cli-managed-default",
            Tags=[{"Key": "ManagedStackSource", "Value": "AwsSamCli"}],
            TemplateBody=json.dumps(managed),
        )

    def client(self, service: str) -> Any:
        return aws_client(service, self.endpoint_url)

    def change_set(self) -> dict[str, Any]:
        """Return the stack's only change set."""
        cloudformation = self.client("cloudformation")
        [summary] = cloudformation.list_change_sets(StackName=STACK)["Summaries"]
        change_set: dict[str, Any] = cloudformation.describe_change_set(
            ChangeSetName=summary["ChangeSetId"], StackName=STACK
        )
        return change_set

    def uploads(self) -> dict[str, bytes]:
        """Return the content of each file in SAM's bucket, by S3 URL."""
        s3 = self.client("s3")
        keys = [listed["Key"] for listed in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
        return {f"s3://{BUCKET}/{key}": s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        # moto creates dashboards, but not the alarms that this one refers to.
        patch.setattr(parsing, "NULL_MODELS", [*parsing.NULL_MODELS, "AWS::CloudWatch::Dashboard"])
        # By name, because moto finds no bucket in the URL of a template if the host is an IP address.
        yield Aws(f"http://localhost:{server.get_host_and_port()[1]}")
    server.stop()


@pytest.fixture(scope="module")
def dialogue(sam: SamCli, aws: Aws, project: Path) -> Dialogue:
    """Deploy without a build. Only the uploaded code differs from a deployment after `sam build`."""
    terminal, sams_end = pty.openpty()
    with subprocess.Popen(
        [sam.path, "deploy", "--guided"],
        cwd=project,
        env={**sam.environment, **CREDENTIALS, "AWS_ENDPOINT_URL": aws.endpoint_url, "COLUMNS": "200"},
        stdin=sams_end,
        stdout=sams_end,
        stderr=sams_end,
        start_new_session=True,
    ) as process:
        os.close(sams_end)
        try:
            dialogue = play(terminal)
            dialogue.exit_code = process.wait(timeout=30)
        finally:
            process.kill()
            os.close(terminal)
    return dialogue


def anchors(text: str) -> set[str]:
    """Return the names of the anchors and aliases in a YAML document, and `<<` if it merges keys."""
    events = list(yaml.parse(text))
    merges = {"<<" for event in events if isinstance(event, yaml.ScalarEvent) and event.value == "<<"}
    return merges | {event.anchor for event in events if isinstance(event, yaml.NodeEvent) and event.anchor}


def play(terminal: int) -> Dialogue:
    """Answer SAM's questions until it ends."""
    dialogue = Dialogue()
    shown, answered = b"", 0
    while output := read(terminal, dialogue.screen):
        shown += output
        dialogue.screen = STYLES.sub("", shown.decode(errors="replace"))
        asked = QUESTION.match(dialogue.screen[answered:].rpartition("\n")[2])
        if asked:
            assert asked["text"] not in dialogue.questions, f"SAM asks again: {asked['text']}"
            dialogue.questions[asked["text"]] = asked["default"]
            answered = len(dialogue.screen)
            os.write(terminal, ANSWERS.get(asked["text"], "").encode() + b"\n")
    return dialogue


def read(terminal: int, so_far: str) -> bytes:
    """Return the next output, which is empty when SAM has ended."""
    readable, _, _ = select.select([terminal], [], [], 60)
    assert readable, f"SAM waits for an answer: {so_far}"
    try:
        return os.read(terminal, 65536)
    except OSError:  # On Linux, this means that no process has the terminal open.
        return b""


def test_only_the_api_key_has_no_default(dialogue: Dialogue) -> None:
    assert [text for text, default in dialogue.questions.items() if default is None] == [
        "Parameter MomentoApiKey"
    ]


def test_sam_asks_for_every_parameter_and_first_for_the_api_key(dialogue: Dialogue) -> None:
    asked = [text.removeprefix("Parameter ") for text in dialogue.questions if text.startswith("Parameter ")]
    assert asked == list(yaml_parse((ROOT / "template.yaml").read_text())["Parameters"])
    assert asked[0] == "MomentoApiKey"


def test_two_answers_are_enough_to_deploy(dialogue: Dialogue) -> None:
    assert f"Successfully created/updated stack - {STACK}" in dialogue.screen, dialogue.screen
    assert dialogue.exit_code == 0


def test_cloudformation_gets_the_answers(dialogue: Dialogue, aws: Aws) -> None:
    given = {one["ParameterKey"]: one["ParameterValue"] for one in aws.change_set()["Parameters"]}
    declared = yaml_parse((ROOT / "template.yaml").read_text())["Parameters"]
    defaults = {name: str(about.get("Default")) for name, about in declared.items()}
    assert given == {**defaults, "MomentoApiKey": API_KEY}


def test_cloudformation_gets_a_template_whose_code_is_uploaded(dialogue: Dialogue, aws: Aws) -> None:
    uploads = aws.uploads()
    [template] = [
        yaml_parse(content.decode()) for url, content in uploads.items() if url.endswith(".template")
    ]
    declared = template["Resources"].values()
    code = {one["Properties"]["CodeUri"] for one in declared if one["Type"] == "AWS::Serverless::Function"}
    assert code
    assert code < set(uploads)


def test_cloudformation_gets_no_anchors_or_aliases(dialogue: Dialogue, aws: Aws) -> None:
    """CloudFormation refuses them. template.yaml uses them, and SAM replaces them."""
    assert {"published", "alarm", "<<"} <= anchors((ROOT / "template.yaml").read_text())
    [template] = [content for url, content in aws.uploads().items() if url.endswith(".template")]
    assert anchors(template.decode()) == set()


def test_the_api_key_is_neither_shown_nor_saved(dialogue: Dialogue, project: Path) -> None:
    saved = (project / "samconfig.toml").read_text()
    assert "CacheName" in tomllib.loads(saved)["default"]["deploy"]["parameters"]["parameter_overrides"]
    assert API_KEY not in saved
    assert API_KEY not in dialogue.screen
