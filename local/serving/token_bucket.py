"""The token bucket algorithm, with which Momento and API Gateway limit rates."""

import time


class TokenBucket:
    """Allow `burst` operations at once, and `per_second` operations a second on average."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._left = float(burst)
        self._counted_at = time.monotonic()

    def take(self) -> bool:
        """Use one operation. Return False if none is left."""
        now = time.monotonic()
        refilled = self._left + (now - self._counted_at) * self._per_second
        self._left, self._counted_at = min(refilled, self._burst), now
        if self._left < 1:
            return False
        self._left -= 1
        return True
