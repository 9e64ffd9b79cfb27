"""A stand-in for Amazon Translate's TranslateText, which moto lacks.

It does not translate, but marks the text: `Hello` in German is `[de] Hello`. Words that start with `#!`, such
as `#!heck`, count as profane and are masked as Translate masks profanity. Errors are as documented:
https://docs.aws.amazon.com/translate/latest/APIReference/API_TranslateText.html
"""

import re
from typing import Any

from local.aws.operation import Operation, RefusedError

_MAX_BYTES = 10_000
_LANGUAGE = re.compile("[a-z]{2,3}(-[A-Z]{2})?")
_MASKED = "?$#@$"


class Translation(Operation):
    """Answer TranslateText."""

    target = "AWSShineFrontendService_20170701.TranslateText"
    content_type = "application/x-amz-json-1.1"

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the marked text."""
        text, source, target = request["Text"], request["SourceLanguageCode"], request["TargetLanguageCode"]
        if len(text.encode()) > _MAX_BYTES:
            raise RefusedError(
                "TextSizeLimitExceededException",
                f"Input text size exceeds limit. Max length of {_MAX_BYTES} bytes.",
            )
        if not _LANGUAGE.fullmatch(source) or not _LANGUAGE.fullmatch(target):
            raise RefusedError(
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
