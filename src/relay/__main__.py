"""`python -m relay`: the relay as a process of its own, until SIGTERM or SIGINT.

Several may run: one relays, the others wait to take its place. Their environment is that of RelayFunction in
template.yaml:

- `CACHE_NAME`, `TOPICS` (names with commas between): what to subscribe to;
- `MOMENTO_API_KEY_SECRET`, `WEBHOOK_SIGNING_SECRET`: names or ARNs of secrets in Secrets Manager;
- `MOMENTO_ENDPOINT`: endpoint of a v2 API key, empty for a v1 key; `MOMENTO_LOCAL`: `host:port` of a local
  Momento, or empty;
- `WEBHOOK_URL`: where messages are delivered; `RELAY_CONCURRENCY`: to how many publishers' messages at once
  (16 if it is not set);
- `DEAD_LETTER_QUEUE_URL`: SQS queue for those that the webhook refuses;
- `SPILL_QUEUE_URL`: SQS queue for those that wait too long, which the webhook takes from there;
- `RELAY_TABLE`: DynamoDB table, with the key `id`, for the lease and the positions;
- `POWERTOOLS_SERVICE_NAME`, `POWERTOOLS_METRICS_NAMESPACE`, `POWERTOOLS_LOG_LEVEL`,
  `POWERTOOLS_PARAMETERS_MAX_AGE`: as for the functions; logs and metrics (EMF) go to the standard output;
- what boto3 needs: region and credentials, and `AWS_ENDPOINT_URL` for local AWS services.
"""

from __future__ import annotations

from common.cold_start import finish_cold_start

import os
import signal
from threading import Event, Thread

from aws_lambda_powertools import Logger

from relay.run import relay
from relay.settings import Settings

_STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}

logger = Logger()


def main() -> None:
    """Relay until told to stop."""
    stop = Event()
    # A signal handler could interrupt the very wait that it must end, so a thread waits for the signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    Thread(target=_stop_at_signal, args=(stop,), daemon=True).start()
    finish_cold_start()
    outcome = relay(Settings.from_environ(os.environ), stop)
    logger.info("stopped", extra=outcome)


def _stop_at_signal(stop: Event) -> None:
    signal.sigwait(_STOP_SIGNALS)
    stop.set()


if __name__ == "__main__":
    main()
