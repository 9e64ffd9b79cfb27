"""The record in DynamoDB of the message that the webhook acted on last."""

from __future__ import annotations

from typing import Any

import boto3

from tests.support.aws_proxy import AwsProxy


def read_record(aws: AwsProxy) -> dict[str, Any]:
    """Return the record of the last message whose record was put through the proxy."""
    return dict(boto3.client("dynamodb").get_item(**_place(aws))["Item"])


def delete_record(aws: AwsProxy) -> None:
    """Delete the record of the last message whose record was put through the proxy."""
    boto3.client("dynamodb").delete_item(**_place(aws))


def _place(aws: AwsProxy) -> dict[str, Any]:
    put = aws.parameters_of("PutItem")[-1]
    return {"TableName": put["TableName"], "Key": {"id": put["Item"]["id"]}}
