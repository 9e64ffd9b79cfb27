"""What a million messages cost on AWS, by its public prices in us-east-1, without free tiers.

Lambda: https://aws.amazon.com/lambda/pricing/, DynamoDB: https://aws.amazon.com/dynamodb/pricing/on-demand/
"""

MEMORY_SIZES = (128, 256, 512, 1024, 1769)

_REQUESTS_PER_MILLION = 0.20
_GIGABYTE_SECOND = {"arm64": 0.0000133334, "x86_64": 0.0000166667}
_WRITES_PER_MILLION = 0.625
_WRITES_OF_A_MESSAGE = 2
"""Idempotency's: one takes the message, one says that it is stored. Each is one unit, up to 1 KB."""


def lambda_dollars_per_million(billed_ms: float, megabytes: int, architecture: str) -> float:
    """Lambda's price of a million invocations that are billed `billed_ms` on average."""
    return _REQUESTS_PER_MILLION + 1e6 * billed_ms / 1000 * megabytes / 1024 * _GIGABYTE_SECOND[architecture]


def idempotency_dollars_per_million() -> float:
    """DynamoDB's price of remembering a million messages."""
    return _WRITES_PER_MILLION * _WRITES_OF_A_MESSAGE


def lambda_dollars_per_month(megabytes: int, architecture: str) -> float:
    """Return Lambda's price of a function that runs all the time, for 30 days."""
    return 30 * 24 * 3600 * megabytes / 1024 * _GIGABYTE_SECOND[architecture]
