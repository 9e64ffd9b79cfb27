"""Webhook requests that must be refused, each made from one that would be accepted.

A request is an event of payload format 2.0, as a function URL makes it.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from common.webhook_signature import SIGNATURE_HEADER, sign

Event = dict[str, Any]

ODD_VALUES: tuple[Any, ...] = (None, True, False, -1, 1.5, "", "text", [], ["a"], {}, {"a": 1})
NOT_COUNTS = (*ODD_VALUES, 2**64, "1", 10**300)
NOT_TEXTS = tuple(value for value in ODD_VALUES if not isinstance(value, str))
NOT_COMMENTS = (
    "",
    " ",
    "hello",
    "null",
    "1",
    "[]",
    "{}",
    "{",
    "\ud800",
    "\0",
    "[" * 50_000,
    '{"courseId":' * 50_000,
    '{"courseId": 123}',
    '{"comment": "text"}',
    '{"courseId": null, "comment": "text"}',
    '{"courseId": "", "comment": "text"}',
    '{"courseId": "\\u0000", "comment": "text"}',
    '{"courseId": 1e3, "comment": "text"}',
    '{"courseId": NaN, "comment": "text"}',
    f'{{"courseId": {"9" * 129}, "comment": "text"}}',
    f'{{"courseId": {"9" * 5000}, "comment": "text"}}',
    '{"courseId": 123, "comment": 123}',
    '{"courseId": 123, "comment": ["text"]}',
)
NOT_OBJECTS = (
    b"",
    b" ",
    b"null",
    b"1",
    b'"text"',
    b"[]",
    b"NaN",
    b"{",
    b"{}{}",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b'{"text": "\xc3\x28"}',
    b"{'cache': 'course-comments'}",
    b"9" * 5000,
    b"[" * 100_000,
    b'{"a":' * 100_000,
)


@dataclass(frozen=True)
class Signer:
    """Makes requests that are accepted; each is another message."""

    secret: str
    sample: Event
    """An event; only its body and its signature are replaced."""

    def fields(self, number: int, comment: str) -> dict[str, Any]:
        """Return the fields of such a request."""
        now = int(time.time() * 1000)
        return {
            "cache": "course-comments",
            "topic": "comment",
            "event_timestamp": now,
            "publish_timestamp": now,
            "topic_sequence_number": number,
            "token_id": "taylor",
            "text": json.dumps({"courseId": 123, "comment": comment}),
        }

    def event(self, body: bytes) -> Event:
        """Return the signed event that the function URL makes of a body."""
        return with_body(with_signature(self.sample, sign(body, self.secret)), body)

    def request(self, number: int, comment: str) -> Event:
        """Return a new request with a message by taylor."""
        return self.event(json.dumps(self.fields(number, comment)).encode())


def with_body(event: Event, body: bytes) -> Event:
    """Return the event with another body: text, or base64 if it is not text."""
    try:
        return {**event, "body": body.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {**event, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def with_signature(event: Event, signature: Any) -> Event:
    return {**event, "headers": {**event["headers"], SIGNATURE_HEADER: signature}}


def is_as_signed(event: Event, original: Event) -> bool:
    """Return whether a mutation left body and signature unchanged, whatever their encoding."""
    try:
        body, headers = event["body"], event["headers"]
        sent = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
        return bool(
            sent == original["body"].encode()
            and headers[SIGNATURE_HEADER] == original["headers"][SIGNATURE_HEADER]
        )
    except (AttributeError, LookupError, TypeError, ValueError):
        return False


class Mutator:
    """Makes requests to be refused out of a signer's."""

    def __init__(self, random: Random, signer: Signer) -> None:
        self._random = random
        self._signer = signer
        self._unsigned: list[Callable[[Event], Event]] = [
            self._body_changed,
            self._body_of_another_type,
            self._signature_changed,
            self._signature_of_another_type,
            self._headers_changed,
            self._encoding_changed,
            self._spliced,
            self._envelope_of_other_types,
        ]
        self._signed: list[Callable[[dict[str, Any]], bytes]] = [
            self._stale,
            self._field_missing,
            self._field_of_another_type,
            self._from_elsewhere_or_nobody,
            self._no_comment,
            self._cut_off,
            self._no_object,
        ]
        self.renew()

    def renew(self) -> None:
        """Start from requests signed now; they must not grow as old as the replay window."""
        self.original = self._signer.request(1, "the comment")
        self._another = self._signer.request(2, "another comment")

    @property
    def ways(self) -> set[str]:
        """Return the names of all mutations."""
        return {mutate.__name__ for mutate in (*self._unsigned, *self._signed)}

    def unsigned(self) -> tuple[str, Event]:
        """Return a request with the wrong signature, and how it was made."""
        while True:
            mutate = self._random.choice(self._unsigned)
            event = mutate(self.original)
            if not is_as_signed(event, self.original):
                return mutate.__name__, event

    def signed(self) -> tuple[str, Event]:
        """Return a signed request that is malformed or too old, and how it was made."""
        mutate = self._random.choice(self._signed)
        return mutate.__name__, self._signer.event(mutate(self._signer.fields(1, "the comment")))

    # With the signature of the original

    def _body_changed(self, event: Event) -> Event:
        return with_body(event, self.bytes_changed(event["body"].encode()))

    def _body_of_another_type(self, event: Event) -> Event:
        event = dict(event)
        if self._random.random() < 0.1:
            del event["body"]
        else:
            event["body"] = self._random.choice((*ODD_VALUES, "\ud800", "\0" * 10_000))
        return event

    def _signature_changed(self, event: Event) -> Event:
        signature = event["headers"][SIGNATURE_HEADER]
        ways: tuple[Callable[[], str], ...] = (
            lambda: self.bytes_changed(signature.encode()).decode("latin-1"),
            lambda: signature[: self._random.randrange(64)],
            lambda: signature + self._random.choice(("0", " ", "\0", "\n", signature, "," + signature)),
            lambda: self._random.choice((" ", "sha3-256=", "0x", "\ufeff")) + signature,
            lambda: signature.upper() if not signature.isdigit() else "",
            lambda: "".join(self._random.choice("0123456789abcdef") for _ in range(64)),
            lambda: signature.translate({ord("a"): 0x430}) if "a" in signature else "\ud800",
            lambda: "f" * self._random.randrange(100_000),
        )
        return with_signature(event, self._random.choice(ways)())

    def _signature_of_another_type(self, event: Event) -> Event:
        signature = event["headers"][SIGNATURE_HEADER]
        return with_signature(
            event, self._random.choice((*ODD_VALUES, [signature], {"0": signature}, signature.encode()))
        )

    def _headers_changed(self, event: Event) -> Event:
        headers = dict(event["headers"])
        signature = headers.pop(SIGNATURE_HEADER)
        names = (
            "Momento-Signature",
            "MOMENTO-SIGNATURE",
            "momento_signature",
            " momento-signature",
            "x-signature",
            "",
        )
        ways: tuple[Callable[[], Any], ...] = (
            lambda: headers,
            lambda: {**headers, self._random.choice(names): signature},
            lambda: {**headers, SIGNATURE_HEADER: f"{'0' * 64},{signature}"},
            lambda: self._random.choice(ODD_VALUES),
            lambda: [[SIGNATURE_HEADER, signature]],
        )
        return {**event, "headers": self._random.choice(ways)()}

    def _encoding_changed(self, event: Event) -> Event:
        body = event["body"].encode()
        as_text = base64.b64encode(body).decode()
        encoded, flag = self._random.choice(
            (
                (event["body"], True),
                (event["body"], "false"),
                (as_text, False),
                (as_text, None),
                (base64.b64encode(as_text.encode()).decode(), True),
                (base64.b16encode(body).decode(), True),
                (base64.b85encode(body).decode(), True),
                (base64.encodebytes(body).decode(), True),
                (as_text[: -1 - self._random.randrange(8)], True),
                (as_text + "=", True),
                (as_text + "ä", True),
                (base64.b64encode(event["body"].encode("utf-16")).decode(), True),
                (base64.b64encode(b"\xef\xbb\xbf" + body).decode(), True),
                (body.hex(), False),
            )
        )
        return {**event, "body": encoded, "isBase64Encoded": flag}

    def _spliced(self, event: Event) -> Event:
        one, other = event["body"], self._another["body"]
        at = self._random.randrange(1, min(len(one), len(other)))
        body = self._random.choice(
            (other, one[:at] + other[at:], other[:at] + one[at:], one + other, other + one)
        )
        signature = self._random.choice((event, self._another))["headers"][SIGNATURE_HEADER]
        if body == other:
            signature = event["headers"][SIGNATURE_HEADER]
        return with_signature({**event, "body": body}, signature)

    def _envelope_of_other_types(self, event: Event) -> Event:
        event = self._signature_changed(event)
        for name in self._random.sample(sorted(event), self._random.randint(1, 4)):
            if self._random.random() < 0.3:
                del event[name]
            else:
                event[name] = self._random.choice(ODD_VALUES)
        return event

    # Signed as they are

    def _stale(self, fields: dict[str, Any]) -> bytes:
        seconds = self._random.choice((65, 120, 3600, 86400, 10**8)) * self._random.choice((-1, 1))
        return json.dumps(
            {**fields, "publish_timestamp": fields["publish_timestamp"] + seconds * 1000}
        ).encode()

    def _field_missing(self, fields: dict[str, Any]) -> bytes:
        del fields[self._random.choice(list(fields))]
        return json.dumps(fields).encode()

    def _field_of_another_type(self, fields: dict[str, Any]) -> bytes:
        name = self._random.choice([*fields, "topic_sequence_page"])
        is_text = isinstance(fields.get(name), str)
        value = self._random.choice(NOT_TEXTS if is_text else NOT_COUNTS)
        return json.dumps({**fields, name: value}).encode()

    def _from_elsewhere_or_nobody(self, fields: dict[str, Any]) -> bytes:
        name = self._random.choice(("cache", "topic", "token_id"))
        if name == "token_id":
            return json.dumps({**fields, name: ""}).encode()
        changed = self.bytes_changed(fields[name].encode()).decode("latin-1")
        return json.dumps({**fields, name: changed if changed != fields[name] else ""}).encode()

    def _no_comment(self, fields: dict[str, Any]) -> bytes:
        return json.dumps({**fields, "text": self._random.choice(NOT_COMMENTS)}).encode()

    def _cut_off(self, fields: dict[str, Any]) -> bytes:
        body = json.dumps(fields).encode()
        return body[: self._random.randrange(len(body))]

    def _no_object(self, fields: dict[str, Any]) -> bytes:
        return self._random.choice(NOT_OBJECTS)

    def bytes_changed(self, content: bytes) -> bytes:
        """Flip, insert, delete, double or cut off a few bits and bytes."""
        changed = bytearray(content)
        random = self._random
        for _ in range(random.randint(1, 4)):
            at = random.randrange(len(changed) + 1)
            end = at + random.randint(1, 8)
            match random.randrange(6):
                case 0 if at < len(changed):
                    changed[at] ^= 1 << random.randrange(8)
                case 1:
                    changed[at:at] = random.randbytes(random.randint(1, 8))
                case 2:
                    del changed[at:end]
                case 3:
                    changed[at:at] = changed[at:end]
                case 4 if random.random() < 0.2:
                    del changed[at:]
                case _:
                    changed[at:end] = random.randbytes(len(changed[at:end]))
        return bytes(changed)
