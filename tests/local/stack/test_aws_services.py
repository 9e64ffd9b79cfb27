"""The AWS services: what a template may declare of them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.aws.services import AwsServices
from local.cloudformation.template import Template, TemplateError
from tests.support.aws_client import aws_client

_NAMED = """
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: messages
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      TimeToLiveSpecification: {AttributeName: expiration, Enabled: true}
      PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true}
      SSESpecification: {SSEEnabled: true, KMSMasterKeyId: !Ref KeyThatNobodyMade}
      StreamSpecification: {StreamViewType: NEW_IMAGE}
  Secret:
    Type: AWS::SecretsManager::Secret
    Properties: {Name: my-key, SecretString: value}
  UserPool:
    Type: AWS::Cognito::UserPool
    Properties: {UserPoolName: people}
  UserPoolClient:
    Type: AWS::Cognito::UserPoolClient
    Properties: {ClientName: browser, UserPoolId: !Ref UserPool}
"""

_QUEUES = """
Resources:
  Work:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: work
      SqsManagedSseEnabled: true
      VisibilityTimeout: 7
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Zombies.Arn, maxReceiveCount: "3"}
  Zombies: {Type: AWS::SQS::Queue}
"""


def _template(folder: Path, text: str) -> Template:
    (folder / "template.yaml").write_text(text)
    return Template.load(folder / "template.yaml", {})


async def test_resources_have_the_names_that_the_template_gives_them(
    services: AwsServices, tmp_path: Path
) -> None:
    attributes = (await services.create_resources(_template(tmp_path, _NAMED))).attributes
    assert attributes["Table"] == "messages"
    assert attributes["Table.Arn"].endswith(":table/messages")
    assert ":secret:my-key" in attributes["Secret"]
    assert {"UserPool", "UserPool.Arn", "UserPoolClient"} <= set(attributes)
    assert await services.secret("my-key") == "value"


@pytest.mark.parametrize(
    ("old", "new", "resource"),
    [("PAY_PER_REQUEST", "FREE", "Table"), ("SecretString", "SecretSting", "Secret")],
)
async def test_a_resource_that_cannot_be_created_is_named(
    services: AwsServices, tmp_path: Path, old: str, new: str, resource: str
) -> None:
    with pytest.raises(TemplateError, match=f"{resource} in the template"):
        await services.create_resources(_template(tmp_path, _NAMED.replace(old, new)))


async def test_queues_are_created_whatever_their_order(services: AwsServices, tmp_path: Path) -> None:
    attributes = (await services.create_resources(_template(tmp_path, _QUEUES))).attributes
    sqs = await asyncio.to_thread(aws_client, "sqs", services.endpoint_url)

    def check() -> None:
        for name in ("Work", "Zombies"):
            made = sqs.get_queue_attributes(QueueUrl=attributes[name], AttributeNames=["All"])["Attributes"]
            assert made["QueueArn"] == attributes[f"{name}.Arn"]
        made = sqs.get_queue_attributes(QueueUrl=attributes["Work"], AttributeNames=["All"])["Attributes"]
        assert made["VisibilityTimeout"] == "7"
        assert json.loads(made["RedrivePolicy"])["deadLetterTargetArn"] == attributes["Zombies.Arn"]

    await asyncio.to_thread(check)


async def test_dead_letters_are_moved_back_and_count_as_new(services: AwsServices, tmp_path: Path) -> None:
    attributes = (await services.create_resources(_template(tmp_path, _QUEUES))).attributes
    sqs = await asyncio.to_thread(aws_client, "sqs", services.endpoint_url)

    def check() -> None:
        bodies = [f"message {number}" for number in range(25)]
        for body in bodies:
            sqs.send_message(QueueUrl=attributes["Zombies"], MessageBody=body)
        for destination in ({}, {"DestinationArn": attributes["Work.Arn"]}):
            sqs.start_message_move_task(SourceArn=attributes["Zombies.Arn"], **destination)
            moved = []
            while received := _received(sqs, attributes["Work"]):
                moved += received
            assert [message["Body"] for message in moved] == bodies
            assert {message["Attributes"]["ApproximateReceiveCount"] for message in moved} == {"1"}
            names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            left = sqs.get_queue_attributes(QueueUrl=attributes["Zombies"], AttributeNames=names)
            assert set(left["Attributes"].values()) == {"0"}
            for body in bodies:
                sqs.send_message(QueueUrl=attributes["Zombies"], MessageBody=body)

        with pytest.raises(sqs.exceptions.ResourceNotFoundException, match="no queue"):
            sqs.start_message_move_task(SourceArn=attributes["Zombies.Arn"] + "s")
        with pytest.raises(ClientError, match="not a dead-letter queue"):
            sqs.start_message_move_task(SourceArn=attributes["Work.Arn"])
        zombies = attributes["Zombies.Arn"]
        with pytest.raises(ClientError, match="the same queue"):
            sqs.start_message_move_task(SourceArn=zombies, DestinationArn=zombies)

    await asyncio.to_thread(check)


def _received(sqs: Any, url: str) -> list[dict[str, Any]]:
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])
    messages: list[dict[str, Any]] = answer.get("Messages", [])
    return messages
