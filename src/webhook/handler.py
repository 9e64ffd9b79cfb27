"""The webhook: verifies, parses and stores one message, and answers only what is so."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.correlation_paths import LAMBDA_FUNCTION_URL
from aws_lambda_powertools.metrics import MetricUnit

from inputs import InvalidInputError, parse_json_object, raw_body
from momento_access.secrets import read_secret
from webhook.message import AnonymousError, Message, parse_message, publish_timestamp
from webhook.settings import Settings
from webhook.signature import SIGNATURE_HEADER, UntrustedError, verify_recent, verify_signature
from webhook.storing import MessageStore
from webhook.topics import write_for

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
metrics = Metrics()
settings = Settings.from_environ(os.environ)
store = MessageStore(settings)


@logger.inject_lambda_context(correlation_id_path=LAMBDA_FUNCTION_URL)
@metrics.log_metrics(capture_cold_start_metric=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answers `{"status": "stored" | "duplicate"}`, or `{"message"}` with 400, 403, 422 or 503."""
    status, answer = _respond(event, context)
    metrics.add_metric(f"WebhookStatus{status}", MetricUnit.Count, 1)
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(answer),
    }


def _respond(event: dict[str, Any], context: LambdaContext) -> tuple[int, dict[str, str]]:
    try:
        message = _verified_message(event)
        write = write_for(message, settings)
        outcome = store.store(message, write, context)
    except UntrustedError as error:
        logger.warning("refused", reason=str(error))
        return 403, {"message": "Forbidden"}
    except InvalidInputError as error:
        logger.warning("refused", reason=str(error))
        return 400, {"message": f"Bad request: {error}"}
    except AnonymousError:
        logger.warning("refused", reason="the publisher has no identity")
        return 422, {"message": "The message was published without an identity"}
    except Exception:
        logger.exception("not stored")
        return 503, {"message": "Service Unavailable"}
    logger.info(outcome["status"], message_id=message.id)
    return 200, outcome


def _verified_message(event: dict[str, Any]) -> Message:
    try:
        body = raw_body(event)
    except InvalidInputError as error:
        raise UntrustedError(str(error)) from None
    verify_signature(body, _signature(event), read_secret(settings.signing_secret))
    fields = parse_json_object(body)
    verify_recent(publish_timestamp(fields), time.time(), settings.replay_window)
    return parse_message(fields)


def _signature(event: dict[str, Any]) -> str | None:
    headers: dict[str, str] = event.get("headers") or {}
    return headers.get(SIGNATURE_HEADER)
