"""The relay as a function: started every minute, at work for most of its time, one run at a time."""

from __future__ import annotations

from common.cold_start import finish_cold_start

import os
import time
from threading import Event
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from relay.run import relay
from relay.settings import Settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
settings = Settings.from_environ(os.environ)
finish_cold_start()


@logger.inject_lambda_context
def lambda_handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Answer `{"status": "busy"}`, or `{"status": "relayed", "delivered", "refused", "discontinuities"}`."""
    seconds = context.get_remaining_time_in_millis() / 1000 - settings.durations.stopping
    return relay(settings, Event(), time.monotonic() + seconds)
