"""A queue that receives every event of an event bus, so that users can see the events."""

import json
from typing import Any

from local.cloudformation.template import ACCOUNT_ID, REGION

EVENT_QUEUE = "EventsOfTheBus"


def create_event_queue(events: Any, sqs: Any, bus_name: str) -> str:
    """Create the queue and the rule with boto3's clients, and return the queue's URL."""
    url: str = sqs.create_queue(QueueName=EVENT_QUEUE)["QueueUrl"]
    pattern = json.dumps({"account": [ACCOUNT_ID]})
    events.put_rule(Name=EVENT_QUEUE, EventBusName=bus_name, EventPattern=pattern)
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{EVENT_QUEUE}"
    events.put_targets(Rule=EVENT_QUEUE, EventBusName=bus_name, Targets=[{"Id": "queue", "Arn": arn}])
    return url
