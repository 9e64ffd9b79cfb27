"""The AWS services that topics use, on one machine: EventBridge, and a stand-in for Amazon Translate."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.aws.services import AwsServices
from local.cloudformation.template import ACCOUNT_ID, REGION, Template
from tests.support.aws_client import aws_client

_TEMPLATE = """
Resources:
  EventBus:
    Type: AWS::Events::EventBus
    Properties: {Name: my-stack}
  OtherBus:
    Type: AWS::Events::EventBus
    Properties: {Name: other}
  Sender:
    Type: AWS::IAM::Role
    Properties: &role
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement: [{Effect: Allow, Action: "sts:AssumeRole", Principal: {Service: lambda.amazonaws.com}}]
      Policies:
        - PolicyName: Send
          PolicyDocument:
            Version: 2012-10-17
            Statement: [{Effect: Allow, Action: "events:PutEvents", Resource: !GetAtt EventBus.Arn}]
  Translator:
    Type: AWS::IAM::Role
    Properties:
      <<: *role
      Policies:
        - PolicyName: Translate
          PolicyDocument:
            Version: 2012-10-17
            Statement: [{Effect: Allow, Action: "translate:TranslateText", Resource: "*"}]
"""


@pytest.fixture
async def made(services: AwsServices, tmp_path: Path) -> dict[str, str]:
    """Return the values of `Ref` and `Fn::GetAtt` for the template's resources."""
    (tmp_path / "template.yaml").write_text(_TEMPLATE)
    template = await services.create_resources(Template.load(tmp_path / "template.yaml", {}))
    return dict(template.attributes)


async def _client_of(services: AwsServices, made: dict[str, str], role: str, service: str) -> Any:
    credentials = await services.assume_role(made[f"{role}.Arn"], "someone")
    return await asyncio.to_thread(aws_client, service, services.endpoint_url, credentials)


def _refusal(error: ClientError) -> str:
    return error.response["Error"]["Code"]


async def test_a_queue_gets_what_a_role_sends_to_the_bus(services: AwsServices, made: dict[str, str]) -> None:
    assert made["EventBus.Arn"] == f"arn:aws:events:{REGION}:{ACCOUNT_ID}:event-bus/my-stack"
    queue_url = await services.create_event_queue(made["EventBus"])
    sender = await _client_of(services, made, "Sender", "events")

    def check() -> None:
        entry = {"Source": "realtime", "DetailType": "order", "Detail": '{"sku": 7}'}
        for bus in (made["EventBus"], made["EventBus.Arn"]):
            assert sender.put_events(Entries=[{**entry, "EventBusName": bus}])["FailedEntryCount"] == 0
        for bus in (made["OtherBus"], made["OtherBus.Arn"]):
            with pytest.raises(ClientError) as refused:
                sender.put_events(Entries=[{**entry, "EventBusName": bus}])
            assert _refusal(refused.value) == "AccessDeniedException"
        sqs = aws_client("sqs", services.endpoint_url)
        received = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)["Messages"]
        events = [json.loads(message["Body"]) for message in received]
        assert [(event["detail-type"], event["detail"]) for event in events] == [("order", {"sku": 7})] * 2

    await asyncio.to_thread(check)


async def test_the_stand_in_for_translate_marks_what_it_answers(
    services: AwsServices, made: dict[str, str]
) -> None:
    translator = await _client_of(services, made, "Translator", "translate")
    sender = await _client_of(services, made, "Sender", "translate")

    def translate(client: Any, text: str, source: str, target: str, **more: Any) -> Any:
        return client.translate_text(Text=text, SourceLanguageCode=source, TargetLanguageCode=target, **more)

    def check() -> None:
        mask = {"Profanity": "MASK"}
        answer = translate(translator, "Hello #!heck \u00fc", "en", "de", Settings=mask)
        assert answer["TranslatedText"] == "[de] Hello ?$#@$ \u00fc"
        assert (answer["SourceLanguageCode"], answer["TargetLanguageCode"]) == ("en", "de")
        assert translate(translator, "#!heck", "en", "fr-CA")["TranslatedText"] == "[fr-CA] #!heck"
        with pytest.raises(translator.exceptions.UnsupportedLanguagePairException):
            translate(translator, "Hello", "en", "12")
        with pytest.raises(translator.exceptions.TextSizeLimitExceededException):
            translate(translator, "\u00fc" * 5001, "en", "de")
        with pytest.raises(ClientError) as refused:
            translate(sender, "Hello", "en", "de")
        assert _refusal(refused.value) == "AccessDeniedException"

    await asyncio.to_thread(check)
