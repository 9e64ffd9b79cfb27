"""POST /token: a short-lived Momento token for whoever the JWT says it is."""

from __future__ import annotations

import loading

import json
import os
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP
from aws_lambda_powertools.metrics import MetricUnit

from inputs import InvalidInputError
from momento_access.tokens import MintingError, MintingLimitError
from token_vendor.request import UnverifiedError, requested_comment_lists, verified_token_id
from token_vendor.settings import Settings
from token_vendor.vending import TokenVendor

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
metrics = Metrics()
settings = Settings.from_environ(os.environ)
vendor = TokenVendor(settings)
loading.done()


@logger.inject_lambda_context(correlation_id_path=API_GATEWAY_HTTP)
@metrics.log_metrics(capture_cold_start_metric=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answers `{authToken, endpoint, expiresAt, tokenId, cacheName, topicName}`, or `{message}`."""
    response = _respond(event)
    metrics.add_metric(f"TokenStatus{response['statusCode']}", MetricUnit.Count, 1)
    return response


def _respond(event: dict[str, Any]) -> dict[str, Any]:
    try:
        token_id = verified_token_id(event, settings.token_id_claim)
        token = vendor.token(token_id, requested_comment_lists(event))
    except UnverifiedError as error:
        logger.warning("no identity", reason=str(error))
        return _answer(401, {"message": "Unauthorized"})
    except InvalidInputError as error:
        return _answer(400, {"message": f"Bad request: {error}"})
    except MintingLimitError:
        logger.warning("Momento's minting limit is reached")
        return _answer(429, {"message": "Too many tokens are asked for; try again"}, {"Retry-After": "1"})
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
            "tokenId": token_id,
            "cacheName": settings.momento.cache_name,
            "topicName": settings.momento.topic_name,
        },
    )


def _answer(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store", **(headers or {})},
        "body": json.dumps(body),
    }
