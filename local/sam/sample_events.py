"""The sample events in events/, with their functions and the answers that their file names promise.

`200_stored.json` promises the status 200, `published_1_failed_2.json` the publisher's counts,
`error_no_user.json` an error, and `busy.json` that the relay finds the stack's own relay at work.
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
    """A sample event for `function`, a logical id."""

    path: Path
    function: str

    @property
    def name(self) -> str:
        """Return its folder and file name."""
        return f"{self.path.parent.name}/{self.path.name}"

    def load(self, signing_secret: str) -> dict[str, Any]:
        """Return the event. Sign a webhook event with the current time, unless it has to be refused."""
        event: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        if self.function == "WebhookFunction":
            match self._words:
                case ["403", "stale", *_]:
                    return sign_event(event, signing_secret, None)
                case [status, *_] if status != "403":
                    return sign_event(event, signing_secret, time.time())
        return event

    def accepts(self, answer: Any) -> bool:
        """Return whether a function's answer is the one that the event's name promises."""
        match self._words, answer:
            case ["error", *_], {"errorType": error_type}:
                return bool(error_type == "InvalidInputError")
            case ["published", published, *words], {"published": count, "failed": list(failed)}:
                promised = int(words[1]) if words[:1] == ["failed"] else 0
                return (count, len(failed)) == (int(published), promised)
            case [status, *_], {"status": given} if self.function == "RelayFunction":
                return bool(given == status)
            case [status, *words], {"statusCode": int(given), "body": str(body)} if status.isdecimal():
                return given == int(status) and self._accepts_body(words, json.loads(body))
        return False

    def _accepts_body(self, words: list[str], body: Any) -> bool:
        match self.function, self._words[0], body:
            case "WebhookFunction", "200", {"status": status}:
                return status == "stored" or (status == "duplicate" and "stored" not in words)
            case "TokenVendorFunction", "200", {"tokenId": token_id}:  # It must come from the claims only.
                claims = json.loads(self.path.read_text())["requestContext"]["authorizer"]["jwt"]["claims"]
                return bool(token_id == claims["cognito:username"])
            case _, "200", _:
                return False
        return set(body) == {"message"}

    @property
    def _words(self) -> list[str]:
        return self.path.stem.split("_")


def sample_events() -> list[SampleEvent]:
    """Return all sample events, ordered by function and file name."""
    return [
        SampleEvent(path, function)
        for folder, function in _FUNCTIONS.items()
        for path in sorted((_EVENTS / folder).glob("*.json"))
    ]
