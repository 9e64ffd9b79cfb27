"""Whatever comes in at the webhook's socket, nobody gets in and good messages are stored."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections import Counter
from random import Random
from urllib.parse import urlsplit

from tests.support.running_stack import Stack

SEED = 7
REQUESTS = 3000
AT_ONCE = 50
GOOD_EVERY = 60
SECONDS_FOR_AN_ANSWER = 0.5

HEAD = b"POST / HTTP/1.1\r\nHost: webhook\r\nContent-Type: application/json\r\nConnection: close\r\n"
BODY = b'{"cache": "course-comments", "topic": "comment", "text": "{}"}'


def _signature(value: bytes) -> bytes:
    return b"momento-signature: " + value + b"\r\n"


def _length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % len(body)


FORGED = _signature(b"0" * 64)

METHODS = (*b"GET PUT DELETE PATCH OPTIONS HEAD TRACE CONNECT BREW post".split(), b"")
PATHS = (
    *b"/ * // /../.. /% /%ff%00 /?a=%zz&a /# \xff webhook:443 http://other/ http://[".split(),
    b"",
    b"/" + b"a" * 9000,
)
VERSIONS = (*b"HTTP/1.1 HTTP/1.0 HTTP/0.9 HTTP/9.9 HTTP/1.1.1 HTTPS/1.1".split(), b"")
HEADERS = (
    FORGED * 3,
    b"momento-signature: \xff\xfe\r\n",
    b"momento-signature:\r\n",
    b"momento-signature\r\n",
    b"momento-signature : a\r\n",
    b"momento-signature: a\r\n b\r\n",
    b": a\r\n",
    b"a\0b: c\r\n",
    b"Host: a\r\nHost: b\r\n",
    b"Cookie: ;=;\xff=\r\n",
    b"Expect: 100-continue\r\n",
    b"Expect: all\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Content-Type: \xff/;;\r\n",
    b"Upgrade: h2c\r\nConnection: upgrade\r\n",
    b"X-Amzn-Trace-Id: \r\n",
    b"X-Forwarded-For: ::1, a\r\n",
    b"Authorization: Bearer a\r\n",
)


class Nonsense:
    """Requests that nobody should make, unsigned all."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def request(self) -> bytes:
        make = self._random.choice(
            (
                self._random_bytes,
                self._request_line,
                self._headers,
                self._header_flood,
                self._content_length,
                self._chunked,
                self._changed,
                self._several,
            )
        )
        return make()

    def _random_bytes(self) -> bytes:
        start = self._random.choice(
            (b"", b"POST / HTTP/1.1\r\n", HEAD, b"\x16\x03\x01", b"PRI * HTTP/2.0\r\n\r\n")
        )
        return start + self._random.randbytes(self._random.randrange(500)) + b"\r\n\r\n"

    def _request_line(self) -> bytes:
        line = b" ".join(map(self._random.choice, (METHODS, PATHS, VERSIONS)))
        return line + b"\r\n" + HEAD.partition(b"\r\n")[2] + FORGED + b"\r\n"

    def _headers(self) -> bytes:
        header = self._random.choice(HEADERS)
        return HEAD + header + _length(BODY) + BODY

    def _header_flood(self) -> bytes:
        count, size = self._random.choice(((100, 20), (1000, 20), (10, 4000), (1, 100_000), (20_000, 5)))
        flood = b"".join(b"x-%d: %s\r\n" % (number, b"a" * size) for number in range(count))
        return HEAD + flood + FORGED + _length(BODY) + BODY

    def _content_length(self) -> bytes:
        length = self._random.choice(
            (
                b"0",
                b"1",
                b"9999999",
                b"-1",
                b"+5",
                b"0x10",
                b"a",
                b"",
                b"1, 1",
                b"1\r\nContent-Length: 2",
                b"9" * 100,
            )
        )
        return HEAD + FORGED + b"Content-Length: " + length + b"\r\n\r\n" + BODY

    def _chunked(self) -> bytes:
        size = b"%x" % len(BODY)
        body = self._random.choice(
            (
                size + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
                b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\nTrailer: a\r\n\r\n",
                size + b";a=b\r\n" + BODY + b"\r\n0\r\n\r\n",
                b"-1\r\n\r\n",
                b"g\r\n\r\n",
                b"f" * 20 + b"\r\n",
                b"2\r\n{}0\r\n\r\n",
                b"0\r\n",
            )
        )
        encoding = self._random.choice(
            (b"chunked", b"gzip, chunked", b"chunked, chunked", b"Chunked", b"identity")
        )
        length = self._random.choice((b"", b"", b"Content-Length: 5\r\n"))
        return HEAD + FORGED + length + b"Transfer-Encoding: " + encoding + b"\r\n\r\n" + body

    def _changed(self) -> bytes:
        request = bytearray(HEAD + FORGED + _length(BODY) + BODY)
        for _ in range(self._random.randint(1, 5)):
            request[self._random.randrange(len(request))] = self._random.randrange(256)
        return bytes(request)

    def _several(self) -> bytes:
        kept_open = HEAD.replace(b"Connection: close\r\n", b"")
        return (
            (kept_open + FORGED + _length(BODY) + BODY) * 2 + HEAD + FORGED + _length(b"") + self._changed()
        )


async def test_only_good_messages_are_stored_among_nonsense(stack: Stack) -> None:
    nonsense, course = Nonsense(Random(SEED)), f"course-{uuid.uuid4()}"  # noqa: S311
    slots = asyncio.Semaphore(AT_ONCE)
    statuses: Counter[int] = Counter()
    refused_before = stack.logs().count('"message":"refused"')

    async def send(number: int, request: bytes, good: bool) -> None:
        async with slots:
            answers = await _answers(stack, request, 10 if good else SECONDS_FOR_AN_ANSWER)
        if good:
            assert answers == [200]
            return
        for status in answers:
            assert not 200 <= status < 300, f"seed {SEED}, request {number}: {status} to {request[:3000]!r}"
            assert status < 500, f"seed {SEED}, request {number}: {status} to {request[:3000]!r}"
        statuses.update(answers)

    async with asyncio.TaskGroup() as sending:
        for number in range(REQUESTS):
            sending.create_task(send(number, nonsense.request(), good=False))
            if number % GOOD_EVERY == 0:
                body = stack.webhook_body(course, f"comment {number}")
                request = HEAD + _signature(stack.signature(body).encode()) + _length(body) + body
                sending.create_task(send(number, request, good=True))
    # Both the server in front and the function had their share.
    assert statuses[400] > REQUESTS / 10
    # Not all wait for the function's answer, so its log tells.
    assert stack.logs().count('"message":"refused"') - refused_before > REQUESTS / 100
    stored = {entry["comment"] for entry in stack.entries(course)}
    assert stored == {f"comment {number}" for number in range(0, REQUESTS, GOOD_EVERY)}
    assert '"level":"ERROR"' not in stack.logs()


async def _answers(stack: Stack, request: bytes, seconds: float) -> list[int]:
    """Return the statuses of the answers; none if the server waits for more or closes the connection."""
    url = urlsplit(stack.facts["webhook_url"])
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    received = b""
    try:
        async with asyncio.timeout(seconds):
            writer.write(request)
            while data := await reader.read(65536):
                received += data
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.transport.abort()
    return [int(status) for status in re.findall(rb"^HTTP/1\.[01] (\d{3})", received, re.MULTILINE)]
