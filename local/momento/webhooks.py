"""Webhooks: every text message of a topic, POSTed once, signed, to the URL that is attached to the topic.

What is sent is what Momento's webhook documentation says. Binary messages are not sent: the body has
only a `text` to put them into.
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
_MAX_DELIVERIES_UNDER_WAY = 1000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WebhookSubscription:
    """The URL to which a topic's messages are sent, and the secret that signs them."""

    cache: str
    topic: str
    url: str
    signing_secret: str

    @classmethod
    def parse(cls, text: str, signing_secret: str) -> Self:
        """From `CACHE/TOPIC=URL`. Raises ValueError."""
        source, _, url = text.partition("=")
        cache, _, topic = source.partition("/")
        if not cache.strip() or not topic.strip():
            raise ValueError(f"{text!r} is not of the form CACHE/TOPIC=URL")
        if not _is_http_url(url):
            raise ValueError(f"{text!r} is not of the form CACHE/TOPIC=URL with an http or https URL")
        return cls(cache, topic, url, signing_secret)


@dataclass(frozen=True)
class Delivery:
    """What became of one message for a webhook.

    `text` is what was published, `""` for a binary message. `outcome` is the receiver's 2xx status, or
    begins with `lost: ` or `not sent: ` and goes on with the reason.
    """

    webhook: WebhookSubscription
    text: str
    outcome: str
    milliseconds: int


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # Only asking for the port finds out that it is none.
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def make_signing_secret() -> str:
    return secrets.token_urlsafe(32)


def sign(body: bytes, signing_secret: str) -> str:
    """Lower-case hex of HMAC-SHA3-256 over the raw body."""
    return hmac.new(signing_secret.encode(), body, hashlib.sha3_256).hexdigest()


class Webhooks:
    """Sends messages to webhooks: one attempt each, beside everything else that goes on.

    Each delivery's outcome is logged, with the fields `cache`, `topic`, `sequence_number`, `url`, `outcome`
    and `milliseconds` on the record, and without the text.
    """

    def __init__(
        self,
        rate_limits: RateLimits,
        timeout_seconds: float,
        on_delivery: Callable[[Delivery], None] | None = None,
    ) -> None:
        """`timeout_seconds`: how long the receiver has to answer, connecting included.

        `on_delivery` is told of every delivery once its outcome is known.
        """
        self._rate_limits = rate_limits
        self._on_delivery = on_delivery
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._webhooks: dict[tuple[str, str], WebhookSubscription] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def add(self, webhook: WebhookSubscription) -> None:
        """Attach a webhook to its topic, in place of one that is already there."""
        self._webhooks[webhook.cache, webhook.topic] = webhook

    def get(self, cache: str, topic: str) -> WebhookSubscription | None:
        return self._webhooks.get((cache, topic))

    def rotate_signing_secret(self, cache: str, topic: str) -> str | None:
        """A new secret, in force at once; None when the topic has no webhook."""
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
            self._conclude(webhook, message, "not sent: binary")
        elif len(self._under_way) >= _MAX_DELIVERIES_UNDER_WAY:
            self._conclude(webhook, message, f"lost: {_MAX_DELIVERIES_UNDER_WAY} deliveries are under way")
        elif not self._rate_limits.allow_delivery():
            self._conclude(webhook, message, "lost: rate limit")
        else:
            task = asyncio.create_task(self._post(webhook, message, message.value))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def start(self) -> None:
        # No cookies, no connections kept, no pool limit: a delivery shares nothing with another one. A
        # POST on a connection that the receiver is just closing would be lost.
        self._session = aiohttp.ClientSession(
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
        )

    async def stop(self) -> None:
        """Give up on the deliveries under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
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
            # Momento follows no redirect: anything but 2xx is a failure.
            was_accepted = 200 <= response.status < 300
            outcome = f"{response.status}" if was_accepted else f"lost: {response.status}"
        except TimeoutError:
            outcome = f"lost: no answer in {self._timeout.total:g} s"
        except aiohttp.ClientError as error:
            outcome = f"lost: {type(error).__name__}"
        self._conclude(webhook, message, outcome, time.monotonic() - began)

    def _conclude(
        self, webhook: WebhookSubscription, message: Message, outcome: str, seconds: float = 0.0
    ) -> None:
        text = message.value if isinstance(message.value, str) else ""
        delivery = Delivery(webhook, text, outcome, round(seconds * 1000))
        _log(delivery, message.sequence_number)
        if self._on_delivery is not None:
            try:
                self._on_delivery(delivery)
            except Exception:
                # Whoever looks on must not harm what is looked at.
                logger.exception("A listener to webhook deliveries failed")


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
