"""Measure one function in this new process: `python run_function.py HANDLER EVENTS COUNT`.

HANDLER is the handler in the template, such as `webhook.handler.lambda_handler`. EVENTS is a file with a JSON
list of events. The function is invoked with one event (cold), then with COUNT more; the list is repeated if
it is shorter. The results are printed as JSON:

- `load_ms`: importing the handler's module
- `first_ms`: the first event
- `process_ms`: from the start of the process, at BENCH_STARTED (epoch milliseconds), to the first answer
- `warm_ms`: a list with each of the other events
- `cpu_load_ms`, `cpu_first_ms`, `cpu_warm_ms`: the same in processor time; `cpu_warm_ms` is the mean
- `peak_memory_bytes`
- `statuses`: the number of answers with each status

With BENCH_WITHOUT_RECORDS in the environment, the webhook keeps no records of messages.

This script imports little, so that the measured load time includes all that the function needs.
"""

import json
import os
import resource
import sys
import time
from importlib import import_module


class Context:
    """The Lambda context of an invocation, as far as the functions use it."""

    function_name = "bench"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"
    memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        """Return more than any invocation takes."""
        return 30_000


def _publish_status(answer: dict[str, object]) -> str:
    return "published" if answer.get("failed") == [] else f"failed: {answer}"


def _keep_no_records() -> None:
    records = import_module("aws_access.message_records").MessageRecords
    for name in ("begin", "complete", "release"):
        setattr(records, name, lambda *_: None)


def _peak_memory_bytes() -> int:
    try:
        with open("/proc/self/status", encoding="utf-8") as file:  # noqa: PTH123
            [kilobytes] = [line.split()[1] for line in file if line.startswith("VmHWM:")]
    except OSError:  # Not Linux. (On Linux, ru_maxrss includes the parent's memory.)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(kilobytes) * 1024


def main() -> None:
    """Measure, and print the results."""
    handler_name, events_file, count = sys.argv[1:4]
    with open(events_file, encoding="utf-8") as file:  # noqa: PTH123 - pathlib takes a millisecond to load
        events = json.load(file)
    results = os.fdopen(os.dup(1), "w")
    # Discard the function's log, but let it spend the time to write it.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    module_name, _, function_name = handler_name.rpartition(".")

    clock, processor = time.perf_counter, time.process_time
    began, cpu_began = clock(), processor()
    handler = getattr(import_module(module_name), function_name)
    if "BENCH_WITHOUT_RECORDS" in os.environ:
        _keep_no_records()
    loaded, cpu_loaded = clock(), processor()
    answer = handler(events[0], Context())
    answered, cpu_answered = clock(), processor()
    process_ms = time.time() * 1000 - float(os.environ["BENCH_STARTED"])
    answers = [answer]
    warm = []
    for number in range(int(count)):
        event = events[(number + 1) % len(events)]
        start = clock()
        answer = handler(event, Context())
        warm.append((clock() - start) * 1000)
        answers.append(answer)
    cpu_done = processor()

    statuses: dict[str, int] = {}
    for answer in answers:
        status = str(answer["statusCode"]) if "statusCode" in answer else _publish_status(answer)
        statuses[status] = statuses.get(status, 0) + 1
    json.dump(
        {
            "load_ms": (loaded - began) * 1000,
            "first_ms": (answered - loaded) * 1000,
            "process_ms": process_ms,
            "warm_ms": warm,
            "cpu_load_ms": (cpu_loaded - cpu_began) * 1000,
            "cpu_first_ms": (cpu_answered - cpu_loaded) * 1000,
            "cpu_warm_ms": (cpu_done - cpu_answered) * 1000 / max(1, len(warm)),
            "peak_memory_bytes": _peak_memory_bytes(),
            "statuses": statuses,
        },
        results,
    )
    results.flush()
    os._exit(0)  # Do not wait for open connections and threads.


if __name__ == "__main__":
    main()
