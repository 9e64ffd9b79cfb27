"""Quotas of Lambda and of HTTP APIs.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
"""

MAX_PAYLOAD_BYTES = 6 * 1024 * 1024
"""The event or the answer of a synchronous invocation."""

MAX_ASYNCHRONOUS_PAYLOAD_BYTES = 1024 * 1024
"""The event of an asynchronous invocation."""

MAX_CLIENT_CONTEXT_BYTES = 3_583
"""The client context, in base64."""

MAX_REQUEST_HEADER_BYTES = 10_240
"""The request line and all header values of a request to an HTTP API, together."""

MAX_KEY_SET_BYTES = 150_000
"""An issuer's key set or discovery document."""
