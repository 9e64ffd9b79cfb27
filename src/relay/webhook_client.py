"""Calls to the webhook, signed as Momento's were, and what its answers mean."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING

import urllib3
from aws_lambda_powertools import Logger
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from aws_access.secrets import SecretError, read_secret, reread_secret
from common.webhook_answers import OTHER_STACK
from common.webhook_signature import SIGNATURE_HEADER, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relay.message import Message
    from relay.settings import Settings

_USER_AGENT = "momento-realtime-identity (relay)"
_CONNECT_SECONDS = 2
_CLOCK_TOLERANCE_SECONDS = 5
_LONGEST_RETRY_AFTER_SECONDS = 60
_ASKS_FOR_ANOTHER_TRY = {408, 425, 429}

logger = Logger(child=True)


class Verdict(Enum):
    """What an answer says about the message."""

    TAKEN = "taken"
    FAILED = "failed"
    """Nothing about the message: another attempt may succeed."""
    REFUSED = "refused"
    UNTRUSTED = "untrusted"
    """The signature or the time is wrong: the secret may have been rotated, or a clock may be wrong."""
    OTHER_STACK = "meant for another stack"
    """The webhook has other parameters than this relay, which a deploy may be about to replace."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the webhook, or of something in front of it."""

    verdict: Verdict
    status: int | None = None
    """None if there was no answer."""
    retry_after_seconds: float = 0.0
    """How long to pause at least, as the answer asks for."""


class WebhookClient:
    """Calls the webhook over connections that are kept. Several threads may use it."""

    def __init__(self, settings: Settings, seconds_allowed: Callable[[], float]) -> None:
        """No call takes longer than `seconds_allowed` returns when it begins."""
        self._settings = settings
        self._seconds_allowed = seconds_allowed
        self._path = parse_url(settings.webhook_url).request_uri
        self._connections = self._new_connections()
        self._clock_error = 0.0
        """Seconds to add to this machine's clock, once the webhook was seen to have another time."""
        self._secret_reread_at = -math.inf

    def post(self, message: Message) -> Answer:
        """Post a message once."""
        try:
            body = self.body(message)
            signature = sign(body, read_secret(self._settings.signing_secret))
            seconds = min(self._settings.durations.answer, self._seconds_allowed())
            if seconds <= 0:
                return Answer(Verdict.FAILED)
            response = self._connections.urlopen(
                "POST",
                self._path,
                body=body,
                headers={
                    "Content-Type": "application/json",
                    "User-Agent": _USER_AGENT,
                    SIGNATURE_HEADER: signature,
                },
                timeout=urllib3.Timeout(connect=min(_CONNECT_SECONDS, seconds), total=seconds),
                retries=False,
                redirect=False,
            )
        except SecretError:
            logger.exception("the signing secret cannot be read")
            return Answer(Verdict.FAILED)
        except HTTPError as error:
            logger.warning("the webhook was not reached", error=type(error).__name__)
            # The other connections may hang as well, where a load balancer has forgotten them.
            self._connections = self._new_connections()
            return Answer(Verdict.FAILED)
        verdict = _verdict(response.status, response.headers, response.data)
        if verdict is Verdict.UNTRUSTED:
            self._compare_clocks(response.headers.get("Date"))
        return Answer(verdict, response.status, _retry_after_seconds(response.headers.get("Retry-After")))

    def _new_connections(self) -> urllib3.HTTPConnectionPool:
        return urllib3.connection_from_url(self._settings.webhook_url, maxsize=self._settings.concurrency)

    def body(self, message: Message) -> bytes:
        """Return the body of Momento's webhook request, and the page, which Momento does not send."""
        fields = {
            "cache": self._settings.momento.cache_name,
            "topic": message.topic,
            "event_timestamp": self._milliseconds(message.received_at),
            "publish_timestamp": self._milliseconds(time.time()),
            "topic_sequence_number": message.position.number,
            "token_id": message.publisher_id,
            "text": message.text,
            "topic_sequence_page": message.position.page,
        }
        return json.dumps(fields).encode()

    def has_reread_secret(self, since: float) -> bool:
        """Return whether the signing secret was read again since a time, in seconds of `time.monotonic`.

        If not, read it, every few seconds at most.
        """
        started = time.monotonic()
        try:
            if self._secret_reread_at < since and reread_secret(self._settings.signing_secret):
                self._secret_reread_at = started
        except SecretError:
            logger.exception("the signing secret cannot be read")
        return self._secret_reread_at >= since

    def _milliseconds(self, seconds: float) -> int:
        return int((seconds + self._clock_error) * 1000)

    def _compare_clocks(self, date: str | None) -> None:
        """Go by the webhook's clock if it differs, because the webhook refuses requests from other times."""
        try:
            difference = parsedate_to_datetime(date or "").timestamp() - time.time()
        except (ValueError, OverflowError):
            return
        if abs(difference - self._clock_error) > _CLOCK_TOLERANCE_SECONDS:
            logger.warning("the webhook has another time", seconds=round(difference))
            self._clock_error = difference


def _verdict(status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
    if 200 <= status < 300:
        return Verdict.TAKEN
    if not 400 <= status < 500 or status in _ASKS_FOR_ANOTHER_TRY:
        return Verdict.FAILED
    reason = _webhooks_own_reason(headers, body)
    if reason is None:
        logger.error("something in front of the webhook refuses calls", status=status)
        return Verdict.FAILED
    if status == 403:
        return Verdict.UNTRUSTED
    return Verdict.OTHER_STACK if OTHER_STACK in reason else Verdict.REFUSED


def _webhooks_own_reason(headers: Mapping[str, str], body: bytes) -> str | None:
    """Return why the webhook itself refuses a message; empty if it does not say. Return None if AWS refuses.

    Lambda refuses calls for reasons that are none of the message's, such as the function URL's permissions.
    It then sends the header `x-amzn-ErrorType` and a body such as `{"Message": "Forbidden"}`. Proxies send a
    page. The webhook sends `{"message": "..."}`.
    """
    if "x-amzn-errortype" in {name.lower() for name in headers}:
        return None
    try:
        fields = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or "Message" in fields:
        return None
    return str(fields.get("message", ""))


def _retry_after_seconds(value: str | None) -> float:
    """Return the pause that `Retry-After` asks for, as seconds or as a date, up to a minute."""
    if value is None:
        return 0.0
    try:
        if value.strip().isdecimal():
            seconds = float(value)
        else:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_SECONDS)
