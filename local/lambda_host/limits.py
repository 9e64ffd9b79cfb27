"""Lambda's quotas (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""

MAX_PAYLOAD_BYTES = 6 * 1024 * 1024
"""Of an event or an answer of a synchronous invocation."""

MAX_ASYNCHRONOUS_PAYLOAD_BYTES = 1024 * 1024
"""Of an event of an asynchronous invocation."""
