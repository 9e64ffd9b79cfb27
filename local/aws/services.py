"""Run moto's server as a child process, and create the resources that the template declares in it.

It serves Secrets Manager, DynamoDB, SQS, EventBridge, Cognito and IAM. The local stack itself serves the
functions and the HTTP API. Log groups only get an ARN, so that policies can refer to them.
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
# Properties of CloudFormation that have no effect locally, or that the services' create operations lack.
_IGNORED_PROPERTIES = {
    "ContributorInsightsSpecification",
    "KinesisStreamSpecification",
    "KmsKeyId",
    "PointInTimeRecoverySpecification",
    "ReplicaRegions",
    "SSESpecification",
    "SqsManagedSseEnabled",
    "StreamSpecification",
}
# Properties that the services' APIs call by another name than CloudFormation.
_API_NAMES = {"UserPoolName": "PoolName"}


class AwsServicesError(Exception):
    """An AWS service does not answer, or refuses a request. The message says which."""


@dataclass(frozen=True)
class User:
    """A user who can sign in at the user pool."""

    username: str
    password: str


class AwsServices:
    """The AWS services at `endpoint_url`, as an async context manager. Their data is lost at the end."""

    def __init__(self, port: int, log_file: Path) -> None:
        """Listen on `port`, or on a free one if it is taken. Write the server's output to `log_file`."""
        self._port = port
        self._log_file = log_file
        self._resources = contextlib.AsyncExitStack()
        self._process: ChildProcess
        self.endpoint_url = ""

    async def __aenter__(self) -> Self:
        """Start the server. It accepts requests at once, and answers them when it is ready."""
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
        """Stop the server."""
        await self._resources.aclose()

    async def ended(self) -> None:
        """Wait until the server ends, which happens only if it fails."""
        await self._process.wait()

    async def create_resources(self, template: Template) -> Template:
        """Create the resources of `template`, and return it with their attributes.

        Raise AwsServicesError or TemplateError.
        """
        return await self._in_thread(lambda: self._create_resources(template))

    async def create_users(self, user_pool_id: str, users: Iterable[User]) -> None:
        """Create confirmed users with permanent passwords. Raise AwsServicesError."""
        await self._in_thread(lambda: self._create_users(user_pool_id, users))

    async def create_event_queue(self, bus_name: str) -> str:
        """Create a queue that receives every event of a bus, and return its URL. Raise AwsServicesError."""
        return await self._in_thread(
            lambda: create_event_queue(self._clients.events, self._clients.sqs, bus_name)
        )

    async def secret(self, secret_id: str) -> str:
        """Return the value of a secret. Raise AwsServicesError."""
        secrets = await self._in_thread(
            lambda: self._clients.secretsmanager.get_secret_value(SecretId=secret_id)
        )
        return secrets["SecretString"]

    async def assume_role(self, role_arn: str, session_name: str) -> Credentials:
        """Return temporary credentials of a role. Raise AwsServicesError.

        moto accepts them after their expiration, so processes need not renew them.
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
            raise AwsServicesError(f"AWS services: {error}\nSee their log: {self._log_file}") from error

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
            ("AWS::IAM::Role", self._create_role),  # Last, because policies refer to the others.
        ):
            for name, declared in sorted(template.resources(resource_type).items(), key=_has_redrive_policy):
                properties = template.resolve(
                    {
                        _API_NAMES.get(key, key): value
                        for key, value in declared.items()
                        if key not in _IGNORED_PROPERTIES
                    }
                )
                try:
                    attributes = create(name, properties)
                except (ClientError, ParamValidationError) as error:
                    raise TemplateError(f"{name} in the template cannot be created: {error}") from error
                template = template.with_attributes(attributes)
        return template

    # Each method creates a resource and returns its attributes. `name` is its logical id, which is its name
    # unless its properties set another one.

    def _create_secret(self, name: str, properties: dict[str, Any]) -> dict[str, str]:
        if generate := properties.pop("GenerateSecretString", None):  # The API cannot generate it.
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
    """boto3 clients of the local services that ignore the developer's own AWS configuration.

    They are made in a thread, which also imports boto3: both are slow, and the server starts meanwhile.
    """

    def __init__(self, endpoint_url: str) -> None:
        import boto3  # noqa: PLC0415
        import botocore.session  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        no_files = {"profile": None, "config_file": os.devnull, "credentials_file": os.devnull}
        session = boto3.Session(
            botocore_session=botocore.session.Session(
                {name: (None, None, value, None) for name, value in no_files.items()}
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


def _has_redrive_policy(resource: tuple[str, Mapping[str, Any]]) -> bool:
    """Return whether a queue refers to a dead-letter queue, which must be created before it."""
    return "RedrivePolicy" in resource[1]


def _json(document: Any) -> str:
    """Return a policy as JSON. `default` covers a version without quotes, which YAML reads as a date."""
    return json.dumps(document, default=str)
