"""The sample events under events/: which function each is for, and what the name of its file promises.

`200_stored.json` promises the status 200, `published_1_failed_2.json` what the publisher counts,
`error_no_user.json` an error, and `busy.json` that the relay finds another one, the stack's, at work.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.sign_event import sign_event

_EVENTS = Path(__file__).parents[2] / "events"
_FUNCTIONS = {
    "token_vendor": "TokenVendorFunction",
    "publisher": "PublisherFunction",
    "webhook": "WebhookFunction",
    "relay": "RelayFunction",
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

    def is_kept_by(self, answer: Any) -> bool:
        """Whether a function's answer is what the event's name promises."""
        match self._words, answer:
            case ["error", *_], {"errorType": error_type}:
                return bool(error_type == "InvalidInputError")
            case ["published", published, *words], {"published": count, "failed": list(failed)}:
                promised = int(words[1]) if words[:1] == ["failed"] else 0
                return (count, len(failed)) == (int(published), promised)
            case [status, *_], {"status": given} if self.function == "RelayFunction":
                return bool(given == status)
            case [status, *words], {"statusCode": int(given), "body": str(body)} if status.isdecimal():
                return given == int(status) and self._is_kept_by_body(words, json.loads(body))
        return False

    def _is_kept_by_body(self, words: list[str], body: Any) -> bool:
        match self.function, self._words[0], body:
            case "WebhookFunction", "200", {"status": status}:
                return status == "stored" or (status == "duplicate" and "stored" not in words)
            case "TokenVendorFunction", "200", {"tokenId": token_id}:  # Whatever else the event says.
                claims = json.loads(self.path.read_text())["requestContext"]["authorizer"]["jwt"]["claims"]
                return bool(token_id == claims["cognito:username"])
            case _, "200", _:
                return False
        return set(body) == {"message"}

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
