"""The session of the functions, beside one that boto3 makes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.loaders import Loader

from aws_access.session import aws_session

PARTITIONS = Loader().load_data("partitions")["partitions"]
CALLS: dict[str, Callable[[Any], object]] = {
    "events": lambda client: client.put_events(Entries=[{"Detail": "{}"}]),
    "translate": lambda client: client.translate_text(
        Text="x", SourceLanguageCode="en", TargetLanguageCode="de"
    ),
    "dynamodb": lambda client: client.put_item(TableName="messages", Item={"id": {"S": "1"}}),
    "secretsmanager": lambda client: client.get_secret_value(SecretId="secret"),
    "sqs": lambda client: client.send_message(QueueUrl="https://queue.example/1/spill", MessageBody="x"),
}


class Sent(Exception):  # noqa: N818 - nothing went wrong
    pass


def where(session: boto3.Session, service: str, region: str) -> tuple[str, str]:
    """Return the URL that a call of a service goes to, and the scope of its signature."""

    def stop(request: Any, **_: object) -> None:
        raise Sent(request.url, request.headers["Authorization"].decode())

    client: Any = session.client(
        service,  # type: ignore[call-overload]
        region_name=region,
        aws_access_key_id="AKID",
        aws_secret_access_key="secret",
    )
    client.meta.events.register("before-send", stop)
    with pytest.raises(Sent) as sent:
        CALLS[service](client)
    url, authorization = sent.value.args
    [scope] = re.findall(r"Credential=AKID/\d+/([^,]+)", authorization)
    return url, scope


@pytest.mark.parametrize("variant", ["", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
@pytest.mark.parametrize("service", CALLS)
def test_a_service_is_where_boto3_finds_it_in_every_region(
    service: str, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    if variant:
        monkeypatch.setenv(variant, "true")
    plain = boto3.Session()
    regions = [
        region
        for partition in PARTITIONS
        # boto3 itself knows no such endpoints in the isolated ones.
        if not (variant == "AWS_USE_DUALSTACK_ENDPOINT" and "-iso" in partition["id"])
        for region in partition["regions"]
        if not region.endswith("-global")
    ]
    assert len(regions) > 30
    for region in [*regions, "eu-new-7"]:
        assert where(aws_session, service, region) == where(plain, service, region)
