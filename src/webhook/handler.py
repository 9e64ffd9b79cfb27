"""The webhook: verify one message, act on it once, and answer 200 only when that is done."""

from __future__ import annotations

from common.cold_start import finish_cold_start

import json
import os
import time
from traceback import format_tb
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.correlation_paths import LAMBDA_FUNCTION_URL
from aws_lambda_powertools.metrics import MetricUnit

from aws_access.clients import error_code
from aws_access.queues import QueueError
from common.inputs import InvalidInputError, parse_json_object
from topics import enabled_topics
from webhook.message_actions import MessageActions, NotDoneError
from webhook.request import AnonymousError, UntrustedError, parse_message, verified_fields
from webhook.settings import Settings
from webhook.signing_secret import SigningSecret
from webhook.spill_queue import SpillQueue, tries_of

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
metrics = Metrics()
settings = Settings.from_environ(os.environ)
topics = enabled_topics(os.environ)
signing_secret = SigningSecret(settings.signing_secret)
actions = MessageActions(settings)
spill_queue = SpillQueue(settings.spill_queue_url, settings.spill_retry_seconds)
finish_cold_start()


@logger.inject_lambda_context(correlation_id_path=LAMBDA_FUNCTION_URL, clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Act on the message of a request to the function URL, or on messages from the spill queue.

    Answer a request with 200 `{"status": "stored" | "duplicate"}`, 202 `{"status": "queued"}`, or
    `{"message"}` and 400, 403, 422 or 503. Answer a batch with the messages that must be tried again.
    """
    if "Records" in event:
        failed = [record for record in event["Records"] if not _retry(record, context)]
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
        fields = verified_fields(event, signing_secret, time.time(), settings.replay_window)
    except UntrustedError as error:
        logger.warning("refused", reason=str(error))
        return 403, {"message": "Forbidden"}
    except InvalidInputError as error:
        return _bad_request(error)
    except Exception:
        logger.exception("not verified")
        return 503, {"message": "Service Unavailable"}
    try:
        return 200, _act_once(fields, context)
    except InvalidInputError as error:
        return _bad_request(error)
    except AnonymousError:
        logger.warning("refused", reason="the publisher has no identity")
        return 422, {"message": "The message was published without an identity"}
    except NotDoneError as error:
        logger.warning("not stored", reason=str(error))
    except Exception as error:  # noqa: BLE001 (the message is kept)
        _log_failure("not stored", error)
    return _keep(fields)


def _act_once(fields: dict[str, Any], context: LambdaContext, *, is_retry: bool = False) -> dict[str, str]:
    message = parse_message(fields, topics, settings.momento.cache_name)
    logger.append_keys(topic=message.topic.name, message_id=message.position)
    outcome = actions.act_once(message, context, is_retry=is_retry)
    logger.info(outcome["status"])
    return outcome


def _log_failure(message: str, error: Exception) -> None:
    """Log where a topic failed, without the error's message, which may contain a user's text."""
    name = error_code(error) or type(error).__name__
    logger.error(message, error=name, stack="".join(format_tb(error.__traceback__)))


def _bad_request(error: InvalidInputError) -> tuple[int, dict[str, str]]:
    logger.warning("refused", reason=str(error))
    return 400, {"message": f"Bad request: {error}"}


def _keep(fields: dict[str, Any]) -> tuple[int, dict[str, str]]:
    try:
        spill_queue.keep(fields)
    except QueueError:
        logger.exception("not kept")
        return 503, {"message": "Service Unavailable"}
    return 202, {"status": "queued"}


def _retry(record: dict[str, Any], context: LambdaContext) -> bool:
    """Return whether a message from the spill queue is done now. If not, it comes back after a pause."""
    try:
        outcome = _act_once(parse_json_object(record["body"]), context, is_retry=True)
    except (NotDoneError, InvalidInputError, AnonymousError) as error:
        logger.warning("still not stored", reason=str(error), tries=tries_of(record))
    except Exception as error:  # noqa: BLE001 (the message stays in the queue)
        _log_failure("still not stored", error)
    else:
        metrics.add_metric(f"SpilledMessages{outcome['status'].capitalize()}", MetricUnit.Count, 1)
        return True
    metrics.add_metric("SpilledMessagesFailed", MetricUnit.Count, 1)
    try:
        spill_queue.postpone(record)
    except QueueError as error:
        logger.warning("not postponed; it is back after the queue's visibility timeout", reason=str(error))
    return False
