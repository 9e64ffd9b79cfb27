"""Invoke, called with boto3 as anybody would."""

import asyncio
import base64
import json
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError

from local.lambda_host.host import LambdaHost
from local.lambda_host.limits import MAX_ASYNCHRONOUS_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES

ARN = "arn:aws:lambda:us-east-1:123456789012:function:EchoFunction"


async def _refusal(lambda_client: Any, **arguments: Any) -> ClientError:
    with pytest.raises(ClientError) as raised:
        await asyncio.to_thread(lambda_client.invoke, **arguments)
    return raised.value


async def test_returns_what_the_function_returns(lambda_client: Any) -> None:
    event = {"text": "ünï", "list": [1, None, 2.5]}
    answer = await asyncio.to_thread(
        lambda_client.invoke, FunctionName="EchoFunction", Payload=json.dumps(event)
    )
    returned = json.loads(answer["Payload"].read())
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    assert returned["event"] == event
    assert returned["request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert returned["arn"] == ARN
    assert returned["memory"] == "256"
    assert 0 < returned["remaining_ms"] <= 20_000


@pytest.mark.parametrize(
    "name", ["EchoFunction", ARN, "123456789012:function:EchoFunction", "function:EchoFunction"]
)
@pytest.mark.parametrize(
    ("qualifier", "version"), [(None, "$LATEST"), ("$LATEST", "$LATEST"), ("live", "1"), ("1", "1")]
)
async def test_invokes_a_version_or_alias_named_in_the_name_or_beside_it(
    lambda_client: Any, name: str, qualifier: str | None, version: str
) -> None:
    ways: list[dict[str, str]] = [{"FunctionName": f"{name}:{qualifier}" if qualifier else name}]
    if qualifier:
        ways += [
            {"FunctionName": name, "Qualifier": qualifier},
            {"FunctionName": f"{name}:{qualifier}", "Qualifier": qualifier},
        ]
    for way in ways:
        dry_run = await asyncio.to_thread(lambda_client.invoke, **way, InvocationType="DryRun")
        assert dry_run["StatusCode"] == 204
    answer = await asyncio.to_thread(lambda_client.invoke, **ways[-1], LogType="Tail")
    assert answer["ExecutedVersion"] == version
    invoked = f"{ARN}:{qualifier}" if qualifier else ARN
    assert json.loads(answer["Payload"].read())["arn"] == invoked
    assert f"Version: {version}\n" in base64.b64decode(answer["LogResult"]).decode()


@pytest.mark.parametrize(
    ("way", "missing"),
    [
        ({"FunctionName": "NoSuchFunction"}, "NoSuchFunction"),
        ({"FunctionName": "NoSuchFunction:live"}, "NoSuchFunction:live"),
        ({"FunctionName": "echofunction"}, "echofunction"),
        ({"FunctionName": "EchoFunction:nosuch"}, "EchoFunction:nosuch"),
        ({"FunctionName": f"{ARN}:LIVE"}, "EchoFunction:LIVE"),
        ({"FunctionName": f"{ARN}:2"}, "EchoFunction:2"),
        ({"FunctionName": "EchoFunction", "Qualifier": "nosuch"}, "EchoFunction:nosuch"),
        ({"FunctionName": "EchoFunction", "Qualifier": "2"}, "EchoFunction:2"),
        ({"FunctionName": "LogFunction:live"}, "LogFunction:live"),
        ({"FunctionName": "LogFunction", "Qualifier": "1"}, "LogFunction:1"),
    ],
)
@pytest.mark.parametrize("kind", ["RequestResponse", "Event", "DryRun"])
async def test_refuses_a_function_version_or_alias_that_does_not_exist(
    lambda_client: Any, way: dict[str, str], missing: str, kind: str
) -> None:
    error = await _refusal(lambda_client, **way, InvocationType=kind)
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert error.response["Error"] == {
        "Code": "ResourceNotFoundException",
        "Message": f"Function not found: arn:aws:lambda:us-east-1:123456789012:function:{missing}",
    }
    assert error.response.get("Type") == "User"


@pytest.mark.parametrize(
    ("way", "status", "code", "message"),
    [
        ({"FunctionName": "EchoFunction:live", "Qualifier": "1"}, 400, "InvalidParameterValueException",
         "The derived qualifier from the function name does not match the specified qualifier."),
        ({"FunctionName": "Echo Function"}, 400, "ValidationException", "at 'functionName' failed"),
        ({"FunctionName": "EchoFunction:a:b"}, 400, "ValidationException", "at 'functionName' failed"),
        ({"FunctionName": "E" * 257}, 400, "ValidationException", "less than or equal to 256"),
        ({"FunctionName": "Echo", "Qualifier": "a b"}, 400, "ValidationException", "at 'qualifier' failed"),
        ({"FunctionName": ARN.replace("us-east-1", "eu-west-1")}, 404, "ResourceNotFoundException",
         "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"),
        ({"FunctionName": ARN.replace("123456789012", "210987654321")}, 403, "AccessDeniedException",
         "not authorized to perform: lambda:InvokeFunction on resource: arn:aws:lambda:us-east-1:2109"),
    ],
)  # fmt: skip
async def test_refuses_a_name_that_is_malformed_contradictory_or_out_of_reach(
    lambda_client: Any, way: dict[str, str], status: int, code: str, message: str
) -> None:
    error = await _refusal(lambda_client, **way)
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert error.response["Error"]["Code"] == code
    assert message in error.response["Error"]["Message"]


async def test_an_absent_payload_is_an_empty_object(lambda_client: Any) -> None:
    answer = await asyncio.to_thread(lambda_client.invoke, FunctionName="EchoFunction")
    assert json.loads(answer["Payload"].read())["event"] == {}


# As long as a client context may be: 3,583 bytes of base64, which come in fours.
LONGEST = '{"custom": {"app": "%s"}}'
LONGEST %= "x" * (3_580 // 4 * 3 - len(LONGEST) + 2)


def _encoded(context: str) -> str:
    return base64.b64encode(context.encode()).decode()


@pytest.mark.parametrize(
    "context",
    [
        '{"custom": {"app": "test"}}',
        '{\n  "custom": {\r\n\t"app": "two\\nlines"\n  }\n}\n',
        ' {"custom": {"app": "ünï €"}} ',
        '{"custom": {"app": "\\u0000\\ud800"}}',
        LONGEST,
    ],
)
async def test_passes_the_client_context_on(lambda_client: Any, context: str) -> None:
    answer = await asyncio.to_thread(
        lambda_client.invoke, FunctionName="EchoFunction", ClientContext=_encoded(context), Payload="{}"
    )
    assert json.loads(answer["Payload"].read())["client"] == json.loads(context)["custom"]


@pytest.mark.parametrize(
    "context",
    [
        "no base64",
        _encoded("no JSON"),
        _encoded("[]"),
        _encoded('"text"'),
        _encoded("5"),
        _encoded("null"),
        _encoded('{"custom": NaN}'),
        _encoded("{" * 2_000),
        _encoded('{"custom": ' + "[" * 2_000 + "]" * 600 + "}"),
        base64.b64encode(b'{"custom": "\xff"}').decode(),
        _encoded(LONGEST + "   "),
        _encoded("{}" + " " * 3_000),
    ],
)
@pytest.mark.parametrize("kind", ["RequestResponse", "Event", "DryRun"])
async def test_refuses_an_invalid_client_context_before_the_function_runs(
    lambda_client: Any, log_lines: list[tuple[str, str]], context: str, kind: str
) -> None:
    error = await _refusal(
        lambda_client, FunctionName="EchoFunction", ClientContext=context, InvocationType=kind
    )
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error.response["Error"]["Code"] == "InvalidRequestContentException"
    assert not log_lines


async def test_reports_an_error_of_the_function(lambda_client: Any) -> None:
    answer = await asyncio.to_thread(
        lambda_client.invoke,
        FunctionName="RespondFunction",
        Payload='{"queryStringParameters": {"raise": "a reason"}}',
    )
    error = json.loads(answer["Payload"].read())
    assert answer["StatusCode"] == 200
    assert answer["FunctionError"] == "Unhandled"
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "a reason")
    assert error["requestId"] == answer["ResponseMetadata"]["RequestId"]
    assert any("handlers.py" in line for line in error["stackTrace"])


async def test_gives_the_end_of_the_log_when_asked(lambda_client: Any) -> None:
    lines = [f"line {number} {'x' * 80}" for number in range(100)]
    answer = await asyncio.to_thread(
        lambda_client.invoke, FunctionName="LogFunction", LogType="Tail", Payload=json.dumps(lines)
    )
    log = base64.b64decode(answer["LogResult"]).decode()
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert len(log) == 4096
    assert f"{lines[-1]}\n{lines[-1]}\nEND RequestId: {request_id}\nREPORT RequestId: {request_id}\t" in log

    answer = await asyncio.to_thread(lambda_client.invoke, FunctionName="LogFunction", Payload="[]")
    assert "LogResult" not in answer


async def test_an_asynchronous_invocation_is_accepted_at_once(
    lambda_client: Any, log_lines: list[tuple[str, str]]
) -> None:
    answer = await asyncio.to_thread(
        lambda_client.invoke, FunctionName="LogFunction", InvocationType="Event", Payload='["ran"]'
    )
    assert answer["StatusCode"] == 202
    assert answer["Payload"].read() == b""
    async with asyncio.timeout(20):
        while ("LogFunction", "ran") not in log_lines:  # noqa: ASYNC110 - lines come by a plain callback
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "payload", [b"{", b"nonsense", b"\xff\xfe\xfd", b"[" * 100_000, b"NaN", "{}".encode("utf-16")]
)
async def test_refuses_a_payload_that_is_not_json(lambda_client: Any, payload: bytes) -> None:
    error = await _refusal(lambda_client, FunctionName="EchoFunction", Payload=payload)
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error.response["Error"]["Code"] == "InvalidRequestContentException"


@pytest.mark.parametrize(
    ("kind", "limit"),
    [("RequestResponse", MAX_PAYLOAD_BYTES), ("Event", MAX_ASYNCHRONOUS_PAYLOAD_BYTES)],
)
async def test_refuses_a_payload_over_the_limit(lambda_client: Any, kind: str, limit: int) -> None:
    payload = b'"' + b"x" * (limit - 2) + b'"'
    answer = await asyncio.to_thread(
        lambda_client.invoke, FunctionName="EnvironmentFunction", InvocationType=kind, Payload=payload
    )
    assert answer["StatusCode"] < 300
    error = await _refusal(
        lambda_client, FunctionName="EnvironmentFunction", InvocationType=kind, Payload=payload + b" "
    )
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert error.response["Error"]["Code"] == "RequestTooLargeException"


async def test_refuses_an_answer_over_the_limit(lambda_client: Any) -> None:
    longest = json.dumps("x" * (MAX_PAYLOAD_BYTES - 100))
    event = json.dumps({"queryStringParameters": {"answer": longest}})
    answer = await asyncio.to_thread(lambda_client.invoke, FunctionName="RespondFunction", Payload=event)
    assert "FunctionError" not in answer
    answer = await asyncio.to_thread(
        lambda_client.invoke, FunctionName="EchoFunction", Payload=json.dumps("x" * (MAX_PAYLOAD_BYTES - 2))
    )
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read())["errorType"] == "Function.ResponseSizeTooLarge"


async def test_refuses_an_unknown_invocation_type(host: LambdaHost, http: aiohttp.ClientSession) -> None:
    url = f"{host.invoke_url}/2015-03-31/functions/EchoFunction/invocations"
    async with http.post(url, headers={"X-Amz-Invocation-Type": "Sometime"}, data=b"{}") as response:
        assert response.status == 400
        assert response.headers["x-amzn-ErrorType"] == "InvalidParameterValueException"
