"""Publishes comments as the users given: for services, EventBridge and `aws lambda invoke`."""

from __future__ import annotations

import loading

import os
import time
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from inputs import InvalidInputError
from publisher.publishing import Publisher, PublishError
from publisher.request import parse_event
from publisher.settings import Settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
metrics = Metrics()
settings = Settings.from_environ(os.environ)
publisher = Publisher(settings)
loading.done()

_SECONDS_TO_ANSWER = 1.0


@logger.inject_lambda_context
@metrics.log_metrics(capture_cold_start_metric=True)
def lambda_handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Answers `{"published": n, "failed": [{"index", "error", "retryable"}]}`.

    Raises `InvalidInputError` where the event is not of the publisher's form.
    """
    try:
        messages = parse_event(event)
    except InvalidInputError:
        metrics.add_metric("EventsRefused", MetricUnit.Count, 1)
        raise
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - _SECONDS_TO_ANSWER
    failed: list[dict[str, Any]] = []
    for index, message in enumerate(messages):
        if isinstance(message, InvalidInputError):
            failed.append({"index": index, "error": str(message), "retryable": False})
            continue
        try:
            publisher.publish(message.user_id, message.comment, deadline)
        except PublishError as error:
            logger.warning("not published", index=index, reason=str(error), retryable=error.retryable)
            failed.append({"index": index, "error": str(error), "retryable": error.retryable})
    published = len(messages) - len(failed)
    metrics.add_metric("MessagesPublished", MetricUnit.Count, published)
    metrics.add_metric("MessagesFailed", MetricUnit.Count, len(failed))
    return {"published": published, "failed": failed}
