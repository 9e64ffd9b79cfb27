"""`POST /token`: a short-lived Momento token that carries the identity in the caller's JWT."""

from __future__ import annotations

from common.cold_start import finish_cold_start

import json
import os
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP
from aws_lambda_powertools.metrics import MetricUnit

from common.inputs import InvalidInputError
from momento_access.tokens import MintingError, MintingLimitError
from token_vendor.request import UnverifiedError, requested_reads, verified_claims, verified_identity
from token_vendor.settings import Settings
from token_vendor.token_vendor import TokenVendor, TooManyTokensError
from topics import enabled_topics
from topics.topic import NotPermittedError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
metrics = Metrics()
settings = Settings.from_environ(os.environ)
topics = enabled_topics(os.environ)
vendor = TokenVendor(settings, topics)
finish_cold_start()


@logger.inject_lambda_context(correlation_id_path=API_GATEWAY_HTTP)
@metrics.log_metrics(capture_cold_start_metric=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer with the token and where to use it, or `{"message"}`; docs/openapi.yaml has every form."""
    response = _respond(event)
    metrics.add_metric(f"TokenStatus{response['statusCode']}", MetricUnit.Count, 1)
    return response


def _respond(event: dict[str, Any]) -> dict[str, Any]:
    try:
        claims = verified_claims(event)
        identity = verified_identity(claims, settings.token_id_claim)
        token = vendor.token(identity, claims, requested_reads(event, topics))
    except UnverifiedError as error:
        logger.warning("no identity", reason=str(error))
        return _answer(401, {"message": "Unauthorized"})
    except InvalidInputError as error:
        return _answer(400, {"message": f"Bad request: {error}"})
    except NotPermittedError as error:
        return _answer(403, {"message": f"Forbidden: {error}"})
    except TooManyTokensError as error:
        logger.warning("one identity asks for too many tokens")
        return _too_many_requests(error.retry_after_seconds)
    except MintingLimitError:
        logger.warning("Momento's minting limit is reached")
        metrics.add_metric("MintingLimitReached", MetricUnit.Count, 1)
        return _too_many_requests(1)
    except MintingError as error:
        logger.warning("no token", reason=str(error))
        return _answer(502, {"message": "Momento could not make a token; try again"})
    except Exception:
        logger.exception("failed")
        return _answer(500, {"message": "Internal Server Error"})
    return _answer(
        200,
        {
            "authToken": token.auth_token,
            "endpoint": token.endpoint,
            "expiresAt": token.expires_at,
            "tokenId": identity,
            "cacheName": settings.momento.cache_name,
            "topicName": next(iter(topics)),
            "topics": list(topics),
        },
    )


def _too_many_requests(retry_after_seconds: int) -> dict[str, Any]:
    message = {"message": "Too many tokens are asked for; try again later"}
    return _answer(429, message, {"Retry-After": str(retry_after_seconds)})


def _answer(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store", **(headers or {})},
        "body": json.dumps(body),
    }
