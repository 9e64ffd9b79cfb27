"""The publisher: publish messages as the users given, for services, EventBridge and `aws lambda invoke`."""

from __future__ import annotations

from common.cold_start import finish_cold_start

import os
import time
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from common.inputs import InvalidInputError
from publisher.message_publisher import MessagePublisher, PublishError
from publisher.request import parse_event
from publisher.settings import Settings
from topics import enabled_topics

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from publisher.request import Message

logger = Logger()
metrics = Metrics()
settings = Settings.from_environ(os.environ)
topics = enabled_topics(os.environ)
publisher = MessagePublisher(settings, topics)
finish_cold_start()

_SECONDS_TO_ANSWER = 1.0


@logger.inject_lambda_context
@metrics.log_metrics(capture_cold_start_metric=True)
def lambda_handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Answer `{"published": n, "failed": [{"index", "error", "retryable"}]}`.

    Raise `InvalidInputError` if the event does not have the publisher's form.
    """
    try:
        messages = parse_event(event, topics, context.aws_request_id)
    except InvalidInputError:
        metrics.add_metric("EventsRefused", MetricUnit.Count, 1)
        raise
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - _SECONDS_TO_ANSWER
    failures = [_failure(index, message, deadline) for index, message in enumerate(messages)]
    failed = [failure for failure in failures if failure]
    published = len(messages) - len(failed)
    metrics.add_metric("MessagesPublished", MetricUnit.Count, published)
    metrics.add_metric("MessagesFailed", MetricUnit.Count, len(failed))
    return {"published": published, "failed": failed}


def _failure(index: int, message: Message | InvalidInputError, deadline: float) -> dict[str, Any] | None:
    """Publish a message. Return None, or why that failed, so that the others of a batch are still tried."""
    if isinstance(message, InvalidInputError):
        return {"index": index, "error": str(message), "retryable": False}
    try:
        publisher.publish(message, deadline)
    except PublishError as error:
        logger.warning("not published", index=index, reason=str(error), retryable=error.retryable)
        return {"index": index, "error": str(error), "retryable": error.retryable}
    except Exception:
        logger.exception("not published", index=index)
        return {"index": index, "error": "the publisher failed; its log says why", "retryable": True}
    return None
