"""moto's server as a child process, and in it the resources that the template declares.

Secrets Manager, DynamoDB, SQS, EventBridge, Cognito and IAM; what else the template declares, the local
stack serves itself (functions, the HTTP API), or only names, so that policies can refer to it (log groups).
"""

import asyncio
import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from local.aws.credentials import LOCAL_CREDENTIALS, Credentials
from local.aws.event_queue import create_event_queue
from local.cloudformation.parameters import text_of
from local.cloudformation.template import ACCOUNT_ID, REGION, Template, TemplateError
from local.serving.child_process import ChildProcess, clean_environment
from local.serving.ports import HOST, listen, port_of

_T = TypeVar("_T")
_ROOT = Path(__file__).parents[2]
_SECONDS_TO_ANSWER = 30
# Properties that mean nothing on one machine, or not to the services' own API, and those whose name there is
# another one than CloudFormation's.
_WITHOUT_EFFECT = {
    "ContributorInsightsSpecification",
    "KinesisStreamSpecification",
    "KmsKeyId",
    "PointInTimeRecoverySpecification",
    "ReplicaRegions",
    "SSESpecification",
    "SqsManagedSseEnabled",
    "StreamSpecification",
}
_NAMES_IN_THE_API = {"UserPoolName": "PoolName"}


class AwsServicesError(Exception):
    """The AWS services do not answer, or refuse what the template declares. The message says which."""


@dataclass(frozen=True)
class User:
    """A user of the user pool who can sign in."""

    username: str
    password: str


class AwsServices:
    """AWS services at `endpoint_url`; an async context manager, whose data ends with it."""

    def __init__(self, port: int, log_file: Path) -> None:
        """Prefer `port`; the server's output goes to `log_file`."""
        self._port = port
        self._log_file = log_file
        self._resources = contextlib.AsyncExitStack()
        self._process: ChildProcess
        self.endpoint_url = ""

    async def __aenter__(self) -> Self:
        """Start the server. It takes requests at once, and answers them when it is up."""
        async with contextlib.AsyncExitStack() as resources:
            self._log_file.parent.mkdir(parents=True, exist_ok=True)
            log = resources.enter_context(self._log_file.open("w", encoding="utf-8", buffering=1))
            with listen(self._port) as sock:
                self.endpoint_url = f"http://{HOST}:{port_of(sock)}"
                self._process = await ChildProcess.start(
                    "local.aws.moto_server",
                    str(sock.fileno()),
                    environment={**clean_environment(), "PYTHONPATH": str(_ROOT)},
                    on_output_line=lambda line: print(line, file=log),
                    pass_fds=[sock.fileno()],
                )
            resources.push_async_callback(self._process.stop)
            self._resources = resources.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the server."""
        await self._resources.aclose()

    async def ended(self) -> None:
        """Wait until the server has ended, which it does not do by itself."""
        await self._process.wait()

    async def create_resources(self, template: Template) -> Template:
        """Create what `template` declares, and return it knowing what was made.

        Raises AwsServicesError, and TemplateError as `template` does.
        """
        return await self._in_thread(lambda: self._create_resources(template))

    async def create_users(self, user_pool_id: str, users: Iterable[User]) -> None:
        """Create confirmed users with permanent passwords; raises AwsServicesError."""
        await self._in_thread(lambda: self._create_users(user_pool_id, users))

    async def create_event_queue(self, bus_name: str) -> str:
        """Create a queue that gets every event of a bus, and return its URL; raises AwsServicesError."""
        return await self._in_thread(
            lambda: create_event_queue(self._clients.events, self._clients.sqs, bus_name)
        )

    async def secret(self, secret_id: str) -> str:
        """Return a secret's value; raises AwsServicesError."""
        secrets = await self._in_thread(
            lambda: self._clients.secretsmanager.get_secret_value(SecretId=secret_id)
        )
        return secrets["SecretString"]

    async def assume_role(self, role_arn: str, session_name: str) -> Credentials:
        """Return temporary credentials of a role; raises AwsServicesError.

        moto lets them serve past their expiration, so that processes may keep them.
        """
        session = await self._in_thread(
            lambda: self._clients.sts.assume_role(RoleArn=role_arn, RoleSessionName=session_name)
        )
        credentials = session["Credentials"]
        return Credentials(
            credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
        )

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (see _Clients)

        try:
            return await asyncio.to_thread(work)
        except (BotoCoreError, ClientError) as error:
            raise AwsServicesError(f"AWS services: {error}\nTheir log is {self._log_file}.") from error

    @functools.cached_property
    def _clients(self) -> "_Clients":
        return _Clients(self.endpoint_url)

    def _create_resources(self, template: Template) -> Template:
        from botocore.exceptions import ClientError, ParamValidationError  # noqa: PLC0415 (see _Clients)

        for resource_type, create in (
            ("AWS::SecretsManager::Secret", self._create_secret),
            ("AWS::DynamoDB::Table", self._create_table),
            ("AWS::SQS::Queue", self._create_queue),
            ("AWS::Events::EventBus", self._create_event_bus),
            ("AWS::Cognito::UserPool", self._create_user_pool),
            ("AWS::Cognito::UserPoolClient", self._create_user_pool_client),
            ("AWS::Logs::LogGroup", self._name_log_group),
            ("AWS::IAM::Role", self._create_role),  # Last, as policies refer to the others.
        ):
            for name, declared in sorted(template.resources(resource_type).items(), key=_redrives):
                properties = template.resolve(
                    {
                        _NAMES_IN_THE_API.get(key, key): value
                        for key, value in declared.items()
                        if key not in _WITHOUT_EFFECT
                    }
                )
                try:
                    attributes = create(name, properties)
                except (ClientError, ParamValidationError) as error:
                    raise TemplateError(f"{name} in the template cannot be created: {error}") from error
                template = template.with_attributes(attributes)
        return template

    # Each creates a resource, whose logical id is its name unless its properties say another, and returns its
    # attributes.

    def _create_secret(self, name: str, properties: dict[str, Any]) -> dict[str, str]:
        if generate := properties.pop(
            "GenerateSecretString", None
        ):  # Which CloudFormation does, so we do here.
            password = self._clients.secretsmanager.get_random_password(**generate)
            properties["SecretString"] = password["RandomPassword"]
        secret = self._clients.secretsmanager.create_secret(**{"Name": name, **properties})
        return {name: secret["ARN"]}

    def _create_table(self, name: str, properties: dict[str, Any]) -> dict[str, str]:
        time_to_live = properties.pop("TimeToLiveSpecification", None)
        table = self._clients.dynamodb.create_table(**{"TableName": name, **properties})["TableDescription"]
        if time_to_live:
            self._clients.dynamodb.update_time_to_live(
                TableName=table["TableName"], TimeToLiveSpecification=time_to_live
            )
        return {name: table["TableName"], f"{name}.Arn": table["TableArn"]}

    def _create_queue(self, name: str, properties: dict[str, Any]) -> dict[str, str]:
        queue = properties.pop("QueueName", name)
        attributes: dict[Any, str] = {
            key: _json(value) if isinstance(value, dict) else text_of(value)
            for key, value in properties.items()
        }
        url = self._clients.sqs.create_queue(QueueName=queue, Attributes=attributes)["QueueUrl"]
        return {name: url, f"{name}.Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{queue}"}

    def _create_event_bus(self, name: str, properties: dict[str, Any]) -> dict[str, str]:
        bus = {"Name": name, **properties}
        return {name: bus["Name"], f"{name}.Arn": self._clients.events.create_event_bus(**bus)["EventBusArn"]}

    def _create_user_pool(self, name: str, properties: dict[str, Any]) -> dict[str, str]:
        pool = self._clients.cognito_idp.create_user_pool(**{"PoolName": name, **properties})["UserPool"]
        return {name: pool["Id"], f"{name}.Arn": pool["Arn"]}

    def _create_user_pool_client(self, name: str, properties: dict[str, Any]) -> dict[str, str]:
        client = self._clients.cognito_idp.create_user_pool_client(**{"ClientName": name, **properties})
        return {name: client["UserPoolClient"]["ClientId"]}

    def _name_log_group(self, name: str, properties: dict[str, Any]) -> dict[str, str]:
        group = properties.get("LogGroupName", name)
        return {name: group, f"{name}.Arn": f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:{group}:*"}

    def _create_role(self, name: str, properties: dict[str, Any]) -> dict[str, str]:
        policies = properties.pop("Policies", [])
        properties["AssumeRolePolicyDocument"] = _json(properties.get("AssumeRolePolicyDocument"))
        role = self._clients.iam.create_role(**{"RoleName": name, **properties})["Role"]
        for policy in policies:
            document = _json(policy.get("PolicyDocument"))
            self._clients.iam.put_role_policy(
                **{**policy, "RoleName": role["RoleName"], "PolicyDocument": document}
            )
        return {name: role["RoleName"], f"{name}.Arn": role["Arn"]}

    def _create_users(self, user_pool_id: str, users: Iterable[User]) -> None:
        cognito = self._clients.cognito_idp
        for user in users:
            cognito.admin_create_user(
                UserPoolId=user_pool_id,
                Username=user.username,
                UserAttributes=[
                    {"Name": "email", "Value": f"{user.username}@example.com"},
                    {"Name": "email_verified", "Value": "true"},
                ],
                MessageAction="SUPPRESS",
            )
            cognito.admin_set_user_password(
                UserPoolId=user_pool_id, Username=user.username, Password=user.password, Permanent=True
            )


class _Clients:
    """boto3 clients of the local services, which read nothing of the developer's own configuration.

    Made in a thread, and boto3 imported there: both are slow, and the server is starting meanwhile.
    """

    def __init__(self, endpoint_url: str) -> None:
        import boto3  # noqa: PLC0415
        import botocore.session  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        nothing = {"profile": None, "config_file": os.devnull, "credentials_file": os.devnull}
        session = boto3.Session(
            botocore_session=botocore.session.Session(
                {name: (None, None, value, None) for name, value in nothing.items()}
            ),
            aws_access_key_id=LOCAL_CREDENTIALS.access_key_id,
            aws_secret_access_key=LOCAL_CREDENTIALS.secret_access_key,
            region_name=REGION,
        )
        config = Config(
            proxies={},
            read_timeout=_SECONDS_TO_ANSWER,
            retries={"total_max_attempts": 1},
        )
        self.secretsmanager = session.client("secretsmanager", endpoint_url=endpoint_url, config=config)
        self.dynamodb = session.client("dynamodb", endpoint_url=endpoint_url, config=config)
        self.sqs = session.client("sqs", endpoint_url=endpoint_url, config=config)
        self.events = session.client("events", endpoint_url=endpoint_url, config=config)
        self.cognito_idp = session.client("cognito-idp", endpoint_url=endpoint_url, config=config)
        self.iam = session.client("iam", endpoint_url=endpoint_url, config=config)
        self.sts = session.client("sts", endpoint_url=endpoint_url, config=config)


def _redrives(resource: tuple[str, Mapping[str, Any]]) -> bool:
    """Return whether a resource refers to another of its type, which has to be there first."""
    return "RedrivePolicy" in resource[1]


def _json(document: Any) -> str:
    """Return a policy as the API takes it; YAML reads a version without quotes as a date."""
    return json.dumps(document, default=str)
