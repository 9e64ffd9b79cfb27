"""A stand-in for Amazon Translate's TranslateText, in front of moto's server, which does not have it.

It translates nothing, and says so: `Hello` in German is `[de] Hello`. Words that are marked as profane, such
as `#!heck`, are masked as Translate masks profanity. Errors are as documented:
https://docs.aws.amazon.com/translate/latest/APIReference/API_TranslateText.html
"""

import json
import re
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_OPERATION = "AWSShineFrontendService_20170701.TranslateText"
_MAX_BYTES = 10_000
_LANGUAGE = re.compile("[a-z]{2,3}(-[A-Z]{2})?")
_MASKED = "?$#@$"


class Translation:
    """A WSGI application in front of another: answers TranslateText, and passes everything else on."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if environ.get("HTTP_X_AMZ_TARGET") != _OPERATION:
            return self._application(environ, start_response)
        status = "200 OK"
        try:
            answer = _translate(json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
        except _RefusedError as error:
            status = "400 Bad Request"
            answer = {"__type": error.kind, "message": str(error)}
        start_response(status, [("Content-Type", "application/x-amz-json-1.1")])
        return [json.dumps(answer).encode()]


class _RefusedError(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def _translate(request: dict[str, Any]) -> dict[str, Any]:
    text, source, target = request["Text"], request["SourceLanguageCode"], request["TargetLanguageCode"]
    if len(text.encode()) > _MAX_BYTES:
        raise _RefusedError(
            "TextSizeLimitExceededException",
            f"Input text size exceeds limit. Max length of {_MAX_BYTES} bytes.",
        )
    if not _LANGUAGE.fullmatch(source) or not _LANGUAGE.fullmatch(target):
        raise _RefusedError(
            "UnsupportedLanguagePairException", f"Unsupported language pair: {source} to {target}."
        )
    settings = request.get("Settings", {})
    if settings.get("Profanity") == "MASK":
        text = re.sub(r"#!\w+", _MASKED, text)
    return {
        "TranslatedText": f"[{target}] {text}",
        "SourceLanguageCode": source,
        "TargetLanguageCode": target,
        "AppliedSettings": settings,
    }
