"""The webhook: verifies, parses and stores one message, and answers only what is so."""

from __future__ import annotations

import loading

import json
import os
import time
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.correlation_paths import LAMBDA_FUNCTION_URL
from aws_lambda_powertools.metrics import MetricUnit

from inputs import InvalidInputError, parse_json_object, raw_body
from webhook.message import AnonymousError, parse_message, publish_timestamp
from webhook.settings import Settings
from webhook.signature import SIGNATURE_HEADER, UntrustedError, verify_recent
from webhook.signing_secret import SigningSecret
from webhook.spilling import SpillQueue
from webhook.storing import MessageStore, NotStoredError
from webhook.topics import write_for

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from webhook.message import Message
    from webhook.writing import Write

logger = Logger()
metrics = Metrics()
settings = Settings.from_environ(os.environ)
signing_secret = SigningSecret(settings.signing_secret)
store = MessageStore(settings)
spill_queue = SpillQueue(settings)
loading.done()


@logger.inject_lambda_context(correlation_id_path=LAMBDA_FUNCTION_URL)
@metrics.log_metrics(capture_cold_start_metric=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Stores the message of a request to the function URL, or those that were kept in the spill queue.

    Answers a request with 200 `{"status": "stored" | "duplicate"}`, 202 `{"status": "queued"}`, or
    `{"message"}` and 400, 403, 422 or 503; a batch with those of its messages that are still not stored.
    """
    if "Records" in event:
        failed = [record for record in event["Records"] if not _store_spilled(record, context)]
        return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in failed]}
    status, answer = _respond(event, context)
    metrics.add_metric(f"WebhookStatus{status}", MetricUnit.Count, 1)
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(answer),
    }


def _respond(event: dict[str, Any], context: LambdaContext) -> tuple[int, dict[str, str]]:
    try:
        fields = _verified_fields(event)
        message = parse_message(fields)
        write = write_for(message, settings)
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
        logger.exception("not verified")
        return 503, {"message": "Service Unavailable"}
    return _store_or_keep(fields, message, write, context)


def _verified_fields(event: dict[str, Any]) -> dict[str, Any]:
    try:
        body = raw_body(event)
    except InvalidInputError as error:
        raise UntrustedError(str(error)) from None
    signing_secret.verify(body, _signature(event))
    fields = parse_json_object(body)
    verify_recent(publish_timestamp(fields), time.time(), settings.replay_window)
    return fields


def _signature(event: dict[str, Any]) -> str | None:
    headers = event.get("headers")
    signature = headers.get(SIGNATURE_HEADER) if isinstance(headers, dict) else None
    return signature if isinstance(signature, str) else None


def _store_or_keep(
    fields: dict[str, Any], message: Message, write: Write, context: LambdaContext
) -> tuple[int, dict[str, str]]:
    try:
        outcome = store.store(message, write, context)
    except NotStoredError as error:
        logger.warning("not stored", message_id=message.id, reason=str(error))
    except Exception:
        logger.exception("not stored", message_id=message.id)
    else:
        logger.info(outcome["status"], message_id=message.id)
        return 200, outcome
    return _keep(fields)


def _keep(fields: dict[str, Any]) -> tuple[int, dict[str, str]]:
    try:
        spill_queue.keep(fields)
    except Exception:
        logger.exception("not kept")
        return 503, {"message": "Service Unavailable"}
    return 202, {"status": "queued"}


def _store_spilled(record: dict[str, Any], context: LambdaContext) -> bool:
    """Whether a message from the spill queue is stored now; where not, it will be back after a while."""
    try:
        message = parse_message(parse_json_object(record["body"]))
        outcome = store.store(message, write_for(message, settings), context, look_first=True)
    except NotStoredError as error:
        logger.warning("still not stored", reason=str(error), tries=_tries(record))
    except Exception:
        logger.exception("still not stored", tries=_tries(record))
    else:
        logger.info(outcome["status"], message_id=message.id)
        metrics.add_metric(f"SpilledMessages{outcome['status'].capitalize()}", MetricUnit.Count, 1)
        return True
    metrics.add_metric("SpilledMessagesFailed", MetricUnit.Count, 1)
    _postpone(record)
    return False


def _tries(record: dict[str, Any]) -> int:
    return int(record["attributes"]["ApproximateReceiveCount"])


def _postpone(record: dict[str, Any]) -> None:
    try:
        spill_queue.postpone(record)
    except Exception:
        logger.exception("not postponed; it will be back when the queue's visibility timeout is over")
