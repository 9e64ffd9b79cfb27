"""Calls the webhook for one message after the other, until each is stored or kept."""

from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import urllib3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from aws_session import aws_session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from momento_access.secrets import read_secret, reread_secret
from urllib3.exceptions import HTTPError
from webhook.signature import SIGNATURE_HEADER, sign

from relay.backoff import backoff
from relay.counts import DELIVERED, REFUSED, RETRIES

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from relay.counts import Counts
    from relay.settings import Settings
    from relay.subscription import Message

_USER_AGENT = "momento-realtime-identity (relay)"
_CONNECT_SECONDS = 2
_CLOCK_TOLERANCE_SECONDS = 5
_NO_ANSWER = 0
_ASKS_FOR_ANOTHER_TRY = {408, 429}
_IN_TIME = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})

logger = Logger(child=True)


class Delivery:
    """Delivers messages as Momento's webhooks did, but for as long as it takes."""

    def __init__(
        self, settings: Settings, counts: Counts, stop: Event, seconds_allowed: Callable[[], float]
    ) -> None:
        """`stop` has it give up; no request lasts longer than `seconds_allowed` says when it begins."""
        self._settings = settings
        self._counts = counts
        self._stop = stop
        self._seconds_allowed = seconds_allowed
        self._connections = urllib3.PoolManager()
        self._dead_letters = aws_session.client("sqs", config=_IN_TIME)
        self._clock_error = 0.0
        """Seconds to add to this machine's clock, once the webhook was seen to have another time."""

    def deliver(self, message: Message) -> bool:
        """Tries until the webhook has taken the message, or has refused it and the dead-letter queue has it.

        Returns False where it was stopped before.
        """
        forbidden = _Forbidden(self._settings)
        pauses = backoff(0.2, 10)
        while not self._stop.is_set():
            status = self._post(message)
            if 200 <= status < 300:
                self._counts.add(DELIVERED)
                return True
            is_refused = forbidden.stands() if status == 403 else _is_refused(status)
            if is_refused:
                return self._keep(message, status)
            logger.warning("not delivered yet", status=status, position=str(message.position))
            self._counts.add(RETRIES)
            self._stop.wait(next(pauses))
        return False

    def _post(self, message: Message) -> int:
        """Calls the webhook; returns its status, `_NO_ANSWER` where there is none."""
        body = self._body(message)
        try:
            signature = sign(body, read_secret(self._settings.signing_secret))
            seconds = min(self._settings.durations.answer, self._seconds_allowed())
            if seconds <= 0:
                return _NO_ANSWER
            answer = self._connections.request(
                "POST",
                self._settings.webhook_url,
                body=body,
                headers={
                    "Content-Type": "application/json",
                    "User-Agent": _USER_AGENT,
                    SIGNATURE_HEADER: signature,
                },
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, total=seconds),
                retries=False,  # Redirects are not followed either.
            )
        except (HTTPError, GetParameterError) as error:
            logger.warning("the webhook was not reached", error=type(error).__name__)
            return _NO_ANSWER
        if answer.status == 403:
            self._compare_clocks(answer.headers.get("Date"))
        return answer.status

    def _body(self, message: Message) -> bytes:
        fields = {
            "cache": self._settings.momento.cache_name,
            "topic": self._settings.momento.topic_name,
            "event_timestamp": self._milliseconds(message.received_at),
            "publish_timestamp": self._milliseconds(time.time()),
            "topic_sequence_number": message.position.number,
            "token_id": message.publisher_id,
            "text": message.text,
            "topic_sequence_page": message.position.page,
        }
        return json.dumps(fields).encode()

    def _milliseconds(self, seconds: float) -> int:
        return int((seconds + self._clock_error) * 1000)

    def _compare_clocks(self, date: str | None) -> None:
        """Goes by the webhook's clock if that says something else: it refuses what seems old or to come."""
        try:
            difference = parsedate_to_datetime(date or "").timestamp() - time.time()
        except ValueError:
            return
        if abs(difference - self._clock_error) > _CLOCK_TOLERANCE_SECONDS:
            logger.warning("the webhook has another time", seconds=round(difference))
            self._clock_error = difference

    def _keep(self, message: Message, status: int) -> bool:
        """Puts a refused message into the dead-letter queue; returns False where it was stopped before.

        It tries once at least, so that a message that was in flight is dealt with.
        """
        for pause in backoff(0.2, 10):
            try:
                self._dead_letters.send_message(
                    QueueUrl=self._settings.dead_letter_queue_url, MessageBody=self._body(message).decode()
                )
            except (BotoCoreError, ClientError) as error:
                logger.warning("the dead-letter queue fails", error=type(error).__name__)
            else:
                logger.error("refused", status=status, position=str(message.position))
                self._counts.add(REFUSED)
                return True
            if self._stop.wait(pause):
                break
        return False


class _Forbidden:
    """Whether a message is refused for good by a 403, or the secret was rotated or a clock is wrong."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._since: float | None = None
        self._has_reread_secret = False

    def stands(self) -> bool:
        """Whether a 403 still comes, long after the first one and though the secret was read anew."""
        now = time.monotonic()
        self._since = self._since or now
        try:
            self._has_reread_secret |= reread_secret(self._settings.signing_secret)
        except GetParameterError:
            logger.exception("the signing secret cannot be read")
        return self._has_reread_secret and now - self._since >= self._settings.durations.refusal


def _is_refused(status: int) -> bool:
    return 400 <= status < 500 and status not in _ASKS_FOR_ANOTHER_TRY
