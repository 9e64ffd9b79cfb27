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
    "name",
    ["EchoFunction", "EchoFunction:$LATEST", ARN, f"{ARN}:$LATEST", "123456789012:function:EchoFunction"],
)
async def test_takes_a_name_or_an_arn(lambda_client: Any, name: str) -> None:
    answer = await asyncio.to_thread(lambda_client.invoke, FunctionName=name, InvocationType="DryRun")
    assert answer["StatusCode"] == 204


async def test_an_absent_payload_is_an_empty_object(lambda_client: Any) -> None:
    answer = await asyncio.to_thread(lambda_client.invoke, FunctionName="EchoFunction")
    assert json.loads(answer["Payload"].read())["event"] == {}


async def test_passes_the_client_context_on(lambda_client: Any) -> None:
    context = base64.b64encode(json.dumps({"custom": {"app": "test"}}).encode()).decode()
    answer = await asyncio.to_thread(
        lambda_client.invoke, FunctionName="EchoFunction", ClientContext=context, Payload="{}"
    )
    assert json.loads(answer["Payload"].read())["client"] == {"app": "test"}


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


async def test_refuses_an_unknown_function(lambda_client: Any) -> None:
    error = await _refusal(lambda_client, FunctionName="NoSuchFunction")
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert error.response["Error"]["Code"] == "ResourceNotFoundException"
    assert error.response["Error"]["Message"].endswith("function:NoSuchFunction")


@pytest.mark.parametrize("payload", [b"{", b"nonsense", b"\xff\xfe\xfd", b"[" * 100_000])
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
    answer = json.dumps("x" * (MAX_PAYLOAD_BYTES - 100))
    event = json.dumps({"queryStringParameters": {"answer": answer}})
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
