"""Webhooks: POST each text message of a topic, signed, to the URL that is attached to the topic.

Requests have the form of Momento's webhook documentation. Binary messages are not sent, because a request
has only a `text` field.
"""

import asyncio
import dataclasses
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from local.momento.limits import RateLimits
from local.momento.topics import Message, epoch_milliseconds

USER_AGENT = "Momento/1.0 (Webhooks; +https://docs.momentohq.com/topics/webhooks)"
SIGNATURE_HEADER = "momento-signature"
_MAX_CONCURRENT_DELIVERIES = 1000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WebhookSubscription:
    """The URL that gets a topic's messages, and the secret that signs them."""

    cache: str
    topic: str
    url: str
    signing_secret: str

    @classmethod
    def parse(cls, text: str, signing_secret: str) -> Self:
        """Parse `CACHE/TOPIC=URL`. Raise ValueError."""
        source, _, url = text.partition("=")
        cache, _, topic = source.partition("/")
        if not cache.strip() or not topic.strip():
            raise ValueError(f"{text!r} is not of the form CACHE/TOPIC=URL")
        if not _is_http_url(url):
            raise ValueError(f"{text!r} is not of the form CACHE/TOPIC=URL with an http or https URL")
        return cls(cache, topic, url, signing_secret)


@dataclass(frozen=True)
class Delivery:
    """The outcome of one message for a webhook.

    `text` is the message, or `""` if it is binary. `outcome` is the receiver's 2xx status, or `lost: ` or
    `not sent: ` followed by the reason.
    """

    webhook: WebhookSubscription
    text: str
    outcome: str
    milliseconds: int


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # `port` raises ValueError if it is not a number from 0 to 65535.
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def make_signing_secret() -> str:
    return secrets.token_urlsafe(32)


def sign(body: bytes, signing_secret: str) -> str:
    """Return the HMAC-SHA3-256 of the raw body in lower-case hex."""
    return hmac.new(signing_secret.encode(), body, hashlib.sha3_256).hexdigest()


class Webhooks:
    """Send messages to webhooks in the background, with one attempt each.

    Each outcome is logged without the text. The log record has the fields `cache`, `topic`,
    `sequence_number`, `url`, `outcome` and `milliseconds`.
    """

    def __init__(
        self,
        rate_limits: RateLimits,
        timeout_seconds: float,
        on_delivery: Callable[[Delivery], None] | None = None,
    ) -> None:
        """Give the receiver `timeout_seconds` to answer, including the time to connect.

        `on_delivery` is called after each delivery.
        """
        self._rate_limits = rate_limits
        self._on_delivery = on_delivery
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._webhooks: dict[tuple[str, str], WebhookSubscription] = {}
        self._deliveries: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def add(self, webhook: WebhookSubscription) -> None:
        """Attach a webhook to its topic, and replace an existing one."""
        self._webhooks[webhook.cache, webhook.topic] = webhook

    def get(self, cache: str, topic: str) -> WebhookSubscription | None:
        return self._webhooks.get((cache, topic))

    def rotate_signing_secret(self, cache: str, topic: str) -> str | None:
        """Set and return a new secret, or return None if the topic has no webhook."""
        webhook = self.get(cache, topic)
        if webhook is None:
            return None
        self.add(dataclasses.replace(webhook, signing_secret=make_signing_secret()))
        return self._webhooks[cache, topic].signing_secret

    def deliver(self, cache: str, topic: str, message: Message) -> None:
        """Send a message to the topic's webhook if it has one, without waiting for it."""
        webhook = self.get(cache, topic)
        if webhook is None:
            return
        if isinstance(message.value, bytes):
            self._report(webhook, message, "not sent: binary")
        elif len(self._deliveries) >= _MAX_CONCURRENT_DELIVERIES:
            self._report(webhook, message, f"lost: {_MAX_CONCURRENT_DELIVERIES} deliveries are running")
        elif not self._rate_limits.allow_delivery():
            self._report(webhook, message, "lost: rate limit")
        else:
            task = asyncio.create_task(self._post(webhook, message, message.value))
            self._deliveries.add(task)
            task.add_done_callback(self._deliveries.discard)

    async def start(self) -> None:
        # Deliveries share nothing: no cookies, no pool limit, no kept connections. A POST on a connection
        # that the receiver is closing would be lost.
        self._session = aiohttp.ClientSession(
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
        )

    async def stop(self) -> None:
        """Cancel the running deliveries."""
        for task in self._deliveries:
            task.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _post(self, webhook: WebhookSubscription, message: Message, text: str) -> None:
        assert self._session is not None, "started"  # noqa: S101
        body = json.dumps(
            {
                "cache": webhook.cache,
                "topic": webhook.topic,
                "event_timestamp": message.published_at,
                "publish_timestamp": epoch_milliseconds(),
                "topic_sequence_number": message.sequence_number,
                "token_id": message.publisher_id,
                "text": text,
            }
        ).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            SIGNATURE_HEADER: sign(body, webhook.signing_secret),
        }
        began = time.monotonic()
        try:
            async with self._session.post(
                webhook.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                await response.read()
            # Momento does not follow redirects, so any other status is a failure.
            was_accepted = 200 <= response.status < 300
            outcome = f"{response.status}" if was_accepted else f"lost: {response.status}"
        except TimeoutError:
            outcome = f"lost: no answer in {self._timeout.total:g} s"
        except aiohttp.ClientError as error:
            outcome = f"lost: {type(error).__name__}"
        self._report(webhook, message, outcome, time.monotonic() - began)

    def _report(
        self, webhook: WebhookSubscription, message: Message, outcome: str, seconds: float = 0.0
    ) -> None:
        text = message.value if isinstance(message.value, str) else ""
        delivery = Delivery(webhook, text, outcome, round(seconds * 1000))
        _log(delivery, message.sequence_number)
        if self._on_delivery is not None:
            try:
                self._on_delivery(delivery)
            except Exception:
                # An observer's failure must not affect the delivery.
                logger.exception("The callback for webhook deliveries failed")


def _log(delivery: Delivery, sequence_number: int) -> None:
    fields = {
        "cache": delivery.webhook.cache,
        "topic": delivery.webhook.topic,
        "sequence_number": sequence_number,
        "url": delivery.webhook.url,
        "outcome": delivery.outcome,
        "milliseconds": delivery.milliseconds,
    }
    logger.log(
        logging.WARNING if delivery.outcome.startswith("lost") else logging.INFO,
        "Webhook %s/%s #%d -> %s: %s (%d ms)",
        *fields.values(),
        extra=fields,
    )
