"""IAM: that roles are obeyed, and that each role allows what its function's code calls and nothing else."""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError
from momento import CredentialProvider, TopicClientAsync, TopicConfigurations

from local.aws.services import AwsServices
from local.cli.round_trip import round_trip
from local.cloudformation.template import ACCOUNT_ID, REGION, Template
from local.sign_event import sign_event
from local.stack.facts import StackFacts
from local.stack.local_stack import ROOT, LocalStack
from tests.support.aws_client import aws_client

_ROLES = """
Resources:
  Items:
    Type: AWS::DynamoDB::Table
    Properties: &table
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
  OtherItems: {Type: AWS::DynamoDB::Table, Properties: *table}
  Secret: {Type: AWS::SecretsManager::Secret, Properties: {SecretString: value}}
  OtherSecret: {Type: AWS::SecretsManager::Secret, Properties: {SecretString: value}}
  Queue: {Type: AWS::SQS::Queue}
  OtherQueue: {Type: AWS::SQS::Queue}
  Logs: {Type: AWS::Logs::LogGroup}
  Reader:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: &trust
        Version: 2012-10-17
        Statement: [{Effect: Allow, Action: "sts:AssumeRole", Principal: {Service: lambda.amazonaws.com}}]
      Policies:
        - PolicyName: Read
          PolicyDocument:
            Version: 2012-10-17
            Statement:
              - {Effect: Allow, Action: secretsmanager:GetSecretValue, Resource: !Ref Secret}
              - {Effect: Allow, Action: dynamodb:GetItem, Resource: !GetAtt Items.Arn}
              - {Effect: Allow, Action: sqs:SendMessage, Resource: !GetAtt Queue.Arn}
              - {Effect: Allow, Action: logs:PutLogEvents, Resource: !GetAtt Logs.Arn}
  AlmostAdmin:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: *trust
      Policies:
        - PolicyName: Everything
          PolicyDocument: {Version: 2012-10-17, Statement: [{Effect: Allow, Action: "*", Resource: "*"}]}
        - PolicyName: ButSecrets
          PolicyDocument:
            Version: 2012-10-17
            Statement: [{Effect: Deny, Action: "secretsmanager:*", Resource: !Ref OtherSecret}]
"""


_SPILLED_BY_RELAY = ("RelayRole", "sqs:SendMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:SpillQueue")
"""What needs 500 messages and ten seconds to happen; `tests/relay/test_lanes.py` makes it happen sooner."""


def _refused(call: Callable[..., Any], **parameters: Any) -> str:
    """Return what AccessDeniedException says."""
    with pytest.raises(ClientError) as refusal:
        call(**parameters)
    error = refusal.value.response["Error"]
    assert error["Code"] == "AccessDeniedException"
    return error["Message"]


async def test_a_role_may_do_what_its_policies_allow(services: AwsServices, tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(_ROLES)
    made = (await services.create_resources(Template.load(tmp_path / "template.yaml", {}))).attributes

    async def client_of(role: str, service: str) -> Any:
        credentials = await services.assume_role(made[f"{role}.Arn"], "someone")
        return await asyncio.to_thread(aws_client, service, services.endpoint_url, credentials)

    secrets, tables = await client_of("Reader", "secretsmanager"), await client_of("Reader", "dynamodb")
    queues = await client_of("Reader", "sqs")
    admin_secrets = await client_of("AlmostAdmin", "secretsmanager")
    admin_tables = await client_of("AlmostAdmin", "dynamodb")
    anyone = aws_client("secretsmanager", services.endpoint_url)
    key = {"id": {"S": "1"}}

    def check() -> None:
        user = f"User: arn:aws:sts::{ACCOUNT_ID}:assumed-role/Reader/someone is not authorized to perform: "
        for secret in ("Secret", made["Secret"]):
            assert secrets.get_secret_value(SecretId=secret)["SecretString"] == "value"
        for secret in ("OtherSecret", made["OtherSecret"]):
            assert _refused(secrets.get_secret_value, SecretId=secret) == (
                f"{user}secretsmanager:GetSecretValue on resource: {made['OtherSecret']} "
                "because no identity-based policy allows the secretsmanager:GetSecretValue action"
            )
        _refused(secrets.get_secret_value, SecretId="NobodysSecret")
        _refused(secrets.put_secret_value, SecretId="Secret", SecretString="other")
        for table in ("Items", made["Items.Arn"]):
            assert "Item" not in tables.get_item(TableName=table, Key=key)
            _refused(tables.put_item, TableName=table, Item=key)
        for table in ("OtherItems", made["OtherItems.Arn"]):
            message = _refused(tables.get_item, TableName=table, Key=key)
            assert message.startswith(f"{user}dynamodb:GetItem on resource: {made['OtherItems.Arn']} ")

        entries = [{"Id": "1", "MessageBody": "one"}, {"Id": "2", "MessageBody": "two"}]
        assert len(queues.send_message_batch(QueueUrl=made["Queue"], Entries=entries)["Successful"]) == 2
        assert queues.send_message(QueueUrl=made["Queue"], MessageBody="three")
        _refused(queues.receive_message, QueueUrl=made["Queue"])
        message = _refused(queues.send_message_batch, QueueUrl=made["OtherQueue"], Entries=entries)
        assert message.startswith(f"{user}sqs:SendMessage on resource: {made['OtherQueue.Arn']} ")
        message = _refused(queues.start_message_move_task, SourceArn=made["Queue.Arn"])
        assert "does not know its resource" in message

        assert admin_tables.put_item(TableName="OtherItems", Item=key)
        assert admin_secrets.get_secret_value(SecretId="Secret")
        _refused(admin_secrets.get_secret_value, SecretId="OtherSecret")
        assert "does not know its resource" in _refused(admin_tables.list_tables)

        assert anyone.get_secret_value(SecretId="OtherSecret")

    await asyncio.to_thread(check)


async def test_a_function_is_refused_what_its_role_does_not_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "template.yaml").read_text()
    assert "[dynamodb:PutItem, " in text
    (tmp_path / "template.yaml").write_text(text.replace("[dynamodb:PutItem, ", "["))
    (tmp_path / "src").symlink_to(ROOT / "src")
    monkeypatch.setattr("local.stack.local_stack.ROOT", tmp_path)
    async with LocalStack(tmp_path / "state") as stack, aiohttp.ClientSession() as http:
        assert await _deliver(http, stack.facts, _message(stack.facts)) == "queued"
    assert (
        f"User: arn:aws:sts::{ACCOUNT_ID}:assumed-role/WebhookRole/WebhookFunction is not authorized "
        "to perform: dynamodb:PutItem "
        f"on resource: arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/IdempotencyTable"
    ) in (stack.logs / "WebhookFunction.log").read_text()


async def test_roles_allow_exactly_the_calls_that_their_functions_make(tmp_path: Path) -> None:
    parameters = {"SpillRetrySeconds": "1"}
    async with LocalStack(tmp_path, parameters=parameters) as stack, aiohttp.ClientSession() as http:
        facts = stack.facts
        allowed = await asyncio.to_thread(_allowed, facts)

        await round_trip(stack, lambda _hop: None)  # A token, and a message stored
        assert await _publish(http, facts) == {"published": 1, "failed": []}
        message = _message(facts)
        assert await _deliver(http, facts, message) == "stored"
        assert await _deliver(http, facts, message) == "duplicate"
        said = {"room": "lobby", "language": "en", "text": "Hello"}
        assert await _deliver(http, facts, _message(facts, "chat", said)) == "stored"
        reported = {"type": "order", "detail": {"sku": 7}}
        assert await _deliver(http, facts, _message(facts, "event", reported)) == "stored"

        await _admin(http, facts, "fail?rpcs=list-push-front&error=unavailable")
        message = _message(facts)
        assert await _deliver(http, facts, message) == "queued"
        await _until_called(stack, "sqs:ChangeMessageVisibility")  # It is tried from the queue, in vain.
        await _admin(http, facts, "clear-faults")
        await _until_called(stack, "sqs:DeleteMessage")
        assert await _deliver(http, facts, message) == "duplicate"

        await _admin(http, facts, "delay?rpcs=list-push-front&ms=500")
        one_waited = False
        async with asyncio.timeout(60):
            while not one_waited:  # As if its process had to be started first.
                message, before = _message(facts), _attempts(stack)
                answers = await asyncio.gather(*(_deliver(http, facts, message) for _ in range(2)))
                assert Counter(answers) == {"stored": 1, "duplicate": 1}
                one_waited = _attempts(stack) - before > len(answers)

        await _publish_without_identity(facts)
        await _until_called(stack, "sqs:SendMessage", "RelayRole")  # The webhook refuses that to the relay.

    decisions = _decisions(stack)
    assert [decision for decision in decisions if not decision["allowed"]] == []
    called = {(decision["role"], decision["action"], decision["resource"]) for decision in decisions}
    assert called == allowed - {_SPILLED_BY_RELAY}


@pytest.mark.parametrize("bus", ["", "mine"])
@pytest.mark.parametrize(
    "topics", ["comment", "comment,poll", "chat", "comment,chat", "event,comment", "poll,chat,event"]
)
def test_permissions_and_the_bus_exist_only_while_their_topic_is_on(topics: str, bus: str) -> None:
    parameters = {"MomentoApiKey": "key", "Topics": topics, "EventBusName": bus}
    template = replace(Template.load(ROOT / "template.yaml", parameters), attributes=defaultdict(str))
    roles = {name: str(template.resolve(role)) for name, role in template.resources("AWS::IAM::Role").items()}
    with_chat, with_events = "chat" in topics, "event" in topics
    assert {name for name in roles if "translate:" in roles[name]} == (
        {"WebhookRole"} if with_chat else set()
    )
    assert {name for name in roles if "events:" in roles[name]} == ({"WebhookRole"} if with_events else set())
    assert len(template.resources("AWS::Events::EventBus")) == (with_events and not bus)


def test_every_function_has_its_own_role() -> None:
    template = Template.load(ROOT / "template.yaml", {"MomentoApiKey": "key"})
    functions = template.resources("AWS::Serverless::Function")
    roles = [json.dumps(properties.get("Role")) for properties in functions.values()]
    assert "null" not in roles
    assert len(set(roles)) == len(functions)


def _allowed(facts: StackFacts) -> set[tuple[str, str, str]]:
    """Return what the template's roles allow to the code of their functions: role, action, resource.

    This leaves out what only Lambda itself does with a function's role: write the log, and send events that
    failed to the function's destination.
    """
    iam = aws_client("iam", facts.aws_endpoint_url)
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:"
    destinations = {("sqs:SendMessage", queue + name) for name in _destinations()}
    return {
        (role["RoleName"], action, resource)
        for role in iam.list_roles()["Roles"]
        for policy in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
        for statement in iam.get_role_policy(RoleName=role["RoleName"], PolicyName=policy)["PolicyDocument"][
            "Statement"
        ]
        if _is_plain_allowance(statement)
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
        if not action.startswith("logs:") and (action, resource) not in destinations
    }


def _is_plain_allowance(statement: dict[str, Any]) -> bool:
    """Return True. Fail on a statement of another form, because what it allows would be left out."""
    assert statement.keys() == {"Effect", "Action", "Resource"}
    assert statement["Effect"] == "Allow"
    return True


def _destinations() -> set[str]:
    """Return the queues that Lambda sends the events to that a function has failed to handle."""
    template = Template.load(ROOT / "template.yaml", {"MomentoApiKey": "key"})
    return {
        event_config["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"].removesuffix(".Arn")
        for function in template.resources("AWS::Serverless::Function").values()
        if "DestinationConfig" in (event_config := function.get("EventInvokeConfig", {}))
    }


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _decisions(stack: LocalStack) -> list[dict[str, Any]]:
    lines = (stack.logs / "aws.log").read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


async def _until_called(stack: LocalStack, action: str, role: str = "WebhookRole") -> None:
    async with asyncio.timeout(60):
        while not any(  # noqa: ASYNC110
            one["action"] == action and one["role"] == role for one in _decisions(stack)
        ):
            await asyncio.sleep(0.1)  # What another process writes to a file is no event here.


def _attempts(stack: LocalStack) -> int:
    """Return how often a message was to be stored: again and again while another copy of it is."""
    return sum(decision["action"] == "dynamodb:PutItem" for decision in _decisions(stack))


def _message(
    facts: StackFacts, topic: str = "comment", content: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return a signed request for a comment, or for other content on its topic."""
    sample: dict[str, Any] = json.loads((ROOT / "events" / "webhook" / "200_stored.json").read_text())
    if content is not None:
        fields = json.loads(sample["body"]) | {"topic": topic, "text": json.dumps(content)}
        sample = {**sample, "body": json.dumps(fields)}
    return sign_event(sample, facts.signing_secret, time.time())


async def _deliver(http: aiohttp.ClientSession, facts: StackFacts, message: dict[str, Any]) -> str:
    """Deliver a message as Momento does, and return what the webhook says of it."""
    async with http.post(facts.webhook_url, data=message["body"], headers=message["headers"]) as response:
        answer: dict[str, str] = await response.json()
    return answer.get("status") or answer["message"]


async def _publish_without_identity(facts: StackFacts) -> None:
    at = facts.momento
    credentials = CredentialProvider(str(at.api_key), at.host, at.host, at.host, at.port)
    async with TopicClientAsync(TopicConfigurations.Default.latest(), credentials) as topics:
        await topics.publish(facts.cache, facts.topic, "by nobody")


async def _publish(http: aiohttp.ClientSession, facts: StackFacts) -> Any:
    url = f"{facts.lambda_url}/2015-03-31/functions/PublisherFunction/invocations"
    event = (ROOT / "events" / "publisher" / "published_1.json").read_bytes()
    async with http.post(url, data=event) as response:
        return await response.json(content_type=None)


async def _admin(http: aiohttp.ClientSession, facts: StackFacts, command: str) -> None:
    async with http.get(f"{facts.momento.admin_url}/{command}") as response:
        response.raise_for_status()
