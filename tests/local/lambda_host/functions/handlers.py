"""Functions for the tests to invoke."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

invocations = 0


def echo(event: Any, context: Any) -> Any:
    """Return the event and what the context says."""
    global invocations  # noqa: PLW0603
    invocations += 1
    return {
        "event": event,
        "pid": os.getpid(),
        "invocations": invocations,
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "remaining_ms": context.get_remaining_time_in_millis(),
        "client": context.client_context and context.client_context.custom,
    }


def respond(event: Any, _context: Any) -> Any:
    """Return or raise what the query says. Without a query, return the event."""
    query = event.get("queryStringParameters") or {}
    if "raise" in query:
        raise ValueError(query["raise"])
    return json.loads(query["answer"]) if "answer" in query else {"event": event}


def environment(_event: Any, _context: Any) -> Any:
    """Return the environment and what is importable."""
    return {"variables": dict(os.environ), "path": sys.path, "stdin": sys.stdin.read()}


def meet(event: Any, _context: Any) -> Any:
    """Put a file into the folder, and wait until it has as many files as expected."""
    here = Path(event["folder"])
    (here / str(os.getpid())).touch()
    while len(list(here.iterdir())) < event["expected"]:
        time.sleep(0.01)
    return os.getpid()


def exit_process(event: Any, _context: Any) -> Any:
    """End the process in the middle of an invocation."""
    print("about to exit")
    if event == "signal":
        os.abort()
    os._exit(event)


def log(event: Any, _context: Any) -> Any:
    """Write lines to both streams."""
    for line in event:
        print(line)
        print(line, file=sys.stderr)


def hold(_event: Any, _context: Any) -> Any:
    """Say in the folder that it has come, and wait there for what lets it go."""
    folder = Path(os.environ["FOLDER"])
    (folder / "came").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    return {"statusCode": 200}


def take_batch(event: Any, _context: Any) -> Any:
    """Do with a batch of messages what the first says; all that say "fail" have failed."""
    print(json.dumps(event))
    match json.loads(event["Records"][0]["body"]):
        case {"answer": answer}:
            return answer
        case {"raise": error}:
            raise ValueError(error)
        case {"meet": folder, "expected": expected}:
            meet({"folder": folder, "expected": expected}, None)
    failed = [record for record in event["Records"] if "fail" in json.loads(record["body"])]
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in failed]}


def log_event(event: Any, _context: Any) -> Any:
    """Write the event, and never finish."""
    print(json.dumps(event))
    time.sleep(60)


def sleep(event: Any, _context: Any) -> Any:
    """Take some seconds."""
    time.sleep(event)
    return os.getpid()
