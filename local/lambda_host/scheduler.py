"""Invoke functions on schedules, as EventBridge Scheduler does.

Reference: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

import asyncio
import json
import uuid
from datetime import UTC, datetime

from local.cloudformation.template import ACCOUNT_ID, REGION
from local.lambda_host.declaration import Schedule
from local.lambda_host.function import Function


async def run_schedule(schedule: Schedule, function: Function) -> None:
    """Invoke a function now and after each period, even if the previous invocation still runs."""
    alias = function.configuration.alias
    async with asyncio.TaskGroup() as invocations:
        while True:
            invocations.create_task(function.invoke_in_turn(_event(schedule), qualifier=alias))
            await asyncio.sleep(schedule.seconds)


def _event(schedule: Schedule) -> bytes:
    """Return the event of a schedule that declares no input."""
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT_ID,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:scheduler:{REGION}:{ACCOUNT_ID}:schedule/default/{schedule.name}"],
        "detail": "{}",
    }
    return json.dumps(event).encode()
