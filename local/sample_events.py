"""The sample events under events/: which function each is for, and what the name of its file promises.

`200_stored.json` promises the status 200, `published_1_failed_2.json` what the publisher counts, and
`error_no_user.json` an error.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.sign_event import sign_event

_EVENTS = Path(__file__).parents[1] / "events"
_FUNCTIONS = {
    "token_vendor": "TokenVendorFunction",
    "publisher": "PublisherFunction",
    "webhook": "WebhookFunction",
}


@dataclass(frozen=True)
class SampleEvent:
    """A sample event for `function` (its logical id)."""

    path: Path
    function: str

    @property
    def name(self) -> str:
        """Its folder and file."""
        return f"{self.path.parent.name}/{self.path.name}"

    def load(self, signing_secret: str) -> dict[str, Any]:
        """Return the event; the webhook's are signed, and of now, unless their names promise otherwise."""
        event: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        if self.function == "WebhookFunction":
            match self._words:
                case ["403", "stale", *_]:
                    return sign_event(event, signing_secret, None)
                case [status, *_] if status != "403":
                    return sign_event(event, signing_secret, time.time())
        return event

    def is_kept_by(self, answer: dict[str, Any]) -> bool:
        """Whether a function's answer is what the event's name promises."""
        match self._words:
            case ["error", *_]:
                return answer.get("errorType") == "InvalidInputError"
            case ["published", published, "failed", failed, *_]:
                return _counts(answer) == (int(published), int(failed))
            case ["published", published, *_]:
                return _counts(answer) == (int(published), 0)
            case [status, *words]:
                return answer.get("statusCode") == int(status) and self._body_is_kept_by(answer, words)
        raise ValueError(f"{self.name} promises nothing")

    def _body_is_kept_by(self, answer: dict[str, Any], words: list[str]) -> bool:
        body = json.loads(answer["body"])
        if words == ["stored"]:
            return bool(body == {"status": "stored"})
        if "tokenId" in body:  # Whatever else the event says.
            claims = json.loads(self.path.read_text())["requestContext"]["authorizer"]["jwt"]["claims"]
            return bool(body["tokenId"] == claims["cognito:username"])
        return True

    @property
    def _words(self) -> list[str]:
        return self.path.stem.split("_")


def sample_events() -> list[SampleEvent]:
    """Return all sample events, in the order of the functions and of their files' names."""
    return [
        SampleEvent(path, function)
        for folder, function in _FUNCTIONS.items()
        for path in sorted((_EVENTS / folder).glob("*.json"))
    ]


def _counts(answer: dict[str, Any]) -> tuple[Any, int]:
    return answer.get("published"), len(answer.get("failed", []))
