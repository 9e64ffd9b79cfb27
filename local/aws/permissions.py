"""Check each call of a role against its IAM policies, in front of moto's server.

moto's own checks would apply to every caller, including the stack itself, and they ignore resources.
"""

import io
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.iam.models import iam_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sts.models import AssumedRole, sts_backends

from local.cloudformation.template import ACCOUNT_ID

_PARTITION = "aws"
_CREDENTIAL = re.compile(r"Credential=(?P<access_key_id>[^/]+)/[^/]+/(?P<region>[^/]+)/(?P<service>[^/]+)/")
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Decision:
    """Whether a role may perform an action on a resource, given by its ARN."""

    role: str
    action: str
    resource: str
    allowed: bool


class Permissions:
    """A WSGI middleware that refuses calls which the policies of the calling role do not allow.

    Credentials other than the temporary ones of a role may do everything. A role's call is refused if its
    resource is unknown. Each decision is written to standard output as a line of JSON.
    """

    def __init__(self, application: WSGIApplication) -> None:
        """Pass allowed calls to `application`."""
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, with AccessDeniedException if it is refused."""
        credential = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        session = credential and _role_session(credential["access_key_id"])
        if credential and session:
            decision = _decide(environ, session, credential["service"], credential["region"])
            # One write for the whole line, because other threads write to the same pipe.
            sys.stdout.write(json.dumps(asdict(decision)) + "\n")
            if not decision.allowed:
                return _refusal(decision, session, start_response)
        return self._application(environ, start_response)


def _role_session(access_key_id: str) -> AssumedRole | None:
    return sts_backends[ACCOUNT_ID][_PARTITION].get_assumed_role_from_access_key(access_key_id)


def _decide(environ: WSGIEnvironment, session: AssumedRole, service: str, region: str) -> Decision:
    role = session.role_arn.rpartition("/")[2]
    operation = environ.get("HTTP_X_AMZ_TARGET", _UNKNOWN).rpartition(".")[2]
    # SQS's batch operations use the IAM action of the operation on one message.
    action = f"{service}:{operation.removesuffix('Batch') if service == 'sqs' else operation}"
    resource = _resource(service, region, _body(environ))
    allowed = resource is not None and _allows(role, action, resource)
    return Decision(role, action, resource or _UNKNOWN, allowed)


def _body(environ: WSGIEnvironment) -> Any:
    """Return the JSON document in the request's body, or None. The body can be read again afterwards."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    try:
        return json.loads(body)
    except ValueError:
        return None


def _resource(service: str, region: str, body: Any) -> str | None:
    """Return the ARN of the resource that a call uses, or None if it is unknown."""
    match service, body:
        case "dynamodb", {"TableName": str(table)}:
            if table.startswith("arn:"):
                return table
            return f"arn:{_PARTITION}:dynamodb:{region}:{ACCOUNT_ID}:table/{table}"
        case "secretsmanager", {"SecretId": str(secret_id)}:
            secret = secretsmanager_backends[ACCOUNT_ID][region].secrets.get(secret_id)
            return secret.arn if secret else secret_id
        case "sqs", {"QueueUrl": str(url)}:
            return f"arn:{_PARTITION}:sqs:{region}:{ACCOUNT_ID}:{url.rpartition('/')[2]}"
        case "events", {"Entries": [{"EventBusName": str(bus)}]}:  # The functions send one event at a time.
            return (
                bus
                if bus.startswith("arn:")
                else f"arn:{_PARTITION}:events:{region}:{ACCOUNT_ID}:event-bus/{bus}"
            )
        case "translate", _:  # Permissions for Translate name no resource.
            return "*"
    return None


def _allows(role: str, action: str, resource: str) -> bool:
    iam = iam_backends[ACCOUNT_ID][_PARTITION]
    results = [
        IAMPolicy(iam.get_role_policy(role, policy)[1]).is_action_permitted(action, resource)
        for declared in iam.get_roles()
        if declared.name == role
        for policy in iam.list_role_policies(role)
    ]
    return PermissionResult.PERMITTED in results and PermissionResult.DENIED not in results


def _refusal(decision: Decision, session: AssumedRole, start_response: StartResponse) -> Iterable[bytes]:
    reason = (
        "the local stack does not know its resource: add it to local/aws/permissions.py"
        if decision.resource == _UNKNOWN
        else f"no identity-based policy allows the {decision.action} action"
    )
    message = (
        f"User: {session.arn} is not authorized to perform: {decision.action} "
        f"on resource: {decision.resource} because {reason}"
    )
    start_response("400 Bad Request", [("Content-Type", "application/x-amz-json-1.1")])
    return [json.dumps({"__type": "AccessDeniedException", "message": message}).encode()]
