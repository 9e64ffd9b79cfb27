"""What functions cost on Lambda, by its public prices in us-east-1, without free tiers.

Prices: https://aws.amazon.com/lambda/pricing/
"""

MEMORY_SIZES = (128, 256, 512, 1024, 1769)

_REQUESTS_PER_MILLION = 0.20
_GIGABYTE_SECOND = {"arm64": 0.0000133334, "x86_64": 0.0000166667}


def lambda_dollars_per_million(billed_ms: float, megabytes: int, architecture: str) -> float:
    """Return the price of a million invocations that are billed `billed_ms` on average."""
    return _REQUESTS_PER_MILLION + 1e6 * billed_ms / 1000 * megabytes / 1024 * _GIGABYTE_SECOND[architecture]


def lambda_dollars_per_month(megabytes: int, architecture: str) -> float:
    """Return the price of a function that runs all the time, for 30 days."""
    return 30 * 24 * 3600 * megabytes / 1024 * _GIGABYTE_SECOND[architecture]
