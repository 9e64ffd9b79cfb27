"""The whole system on this machine, started as `make run` starts it, and used from outside."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from momento import CacheClient, Configurations, CredentialProvider, TopicClient, TopicConfigurations
from momento.responses import CacheListFetch, TopicPublish

from tests.support.aws_client import aws_client
from tests.support.http import Answer, post
from tests.support.project import ROOT
from tests.support.webhook_requests import signature

GIVEN_MOMENTO = ("MOMENTO_API_KEY", "MOMENTO_ENDPOINT")
UNTHROTTLED = ("--parameter", "TokenRateLimit=10000", "--parameter", "TokenBurstLimit=5000")
"""Arguments of a stack whose token API takes all requests."""


class Stack:
    """A running stack, used from outside only."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.facts: dict[str, Any] = json.loads((state_dir / "stack.json").read_text())

    def jwt(self, username: str = "taylor", kind: str = "IdToken") -> str:
        """Sign a user in, and return the JWT."""
        password = next(one["password"] for one in self.facts["users"] if one["username"] == username)
        return self._sign_in(username, password, kind)

    def jwt_of_new_user(self) -> str:
        """Create a user, sign in, and return the JWT."""
        user = {"UserPoolId": self.facts["user_pool_id"], "Username": f"user-{uuid.uuid4()}"}
        password = "Secret-of-a-user-1"
        self.aws("cognito-idp").admin_create_user(**user, MessageAction="SUPPRESS")
        self.aws("cognito-idp").admin_set_user_password(**user, Password=password, Permanent=True)
        return self._sign_in(user["Username"], password, "IdToken")

    def _sign_in(self, username: str, password: str, kind: str) -> str:
        result = self.aws("cognito-idp").initiate_auth(
            AuthFlow="USER_PASSWORD_AUTH",
            ClientId=self.facts["user_pool_client_id"],
            AuthParameters={"USERNAME": username, "PASSWORD": password},
        )
        jwt: str = result["AuthenticationResult"][kind]
        return jwt

    def token(self, jwt: str | None, body: Any = None, **headers: str) -> Answer:
        """Request a token, and return the answer."""
        authorization = {} if jwt is None else {"Authorization": f"Bearer {jwt}"}
        content = json.dumps(body).encode() if body is not None else b""
        return post(self.facts["token_url"], content, authorization | headers)

    def webhook(self, body: bytes, **headers: str) -> Answer:
        """Call the webhook, and return the answer."""
        return post(self.facts["webhook_url"], body, {"Content-Type": "application/json"} | headers)

    def webhook_body(self, course: str, comment: str = "well said", **fields: Any) -> bytes:
        """Return the body of a request for a comment that was just published, with other `fields`."""
        now = time.time_ns() // 1_000_000
        body = {
            "cache": self.facts["cache"],
            "topic": self.facts["topic"],
            "event_timestamp": now,
            "publish_timestamp": now,
            "topic_sequence_number": uuid.uuid4().int % 2**60,
            "token_id": "taylor",
            "text": json.dumps({"courseId": course, "comment": comment}),
        }
        return json.dumps(body | fields).encode()

    def signature(self, body: bytes) -> str:
        """Return the signature that the webhook accepts for a body."""
        return signature(body, self.facts["signing_secret"])

    def invoke(self, function: str, event: Any) -> Any:
        """Invoke a function as `aws lambda invoke` does, and return its answer."""
        response = self.aws("lambda", self.facts["lambda_url"]).invoke(
            FunctionName=function, Payload=json.dumps(event)
        )
        return json.loads(response["Payload"].read())

    def aws(self, service: str, endpoint_url: str | None = None) -> Any:
        return aws_client(service, endpoint_url or self.facts["aws_endpoint_url"])

    def credentials(self, auth_token: str | None = None) -> CredentialProvider:
        """Return a token's credentials, or the super-user's without a token."""
        momento = self.facts["momento"]
        key = momento["api_key"] if auth_token is None else api_key_in(auth_token)
        return CredentialProvider(key, momento["host"], momento["host"], momento["host"], momento["port"])

    def publish(self, auth_token: str, text: str) -> Any:
        with TopicClient(TopicConfigurations.Default.latest(), self.credentials(auth_token)) as client:
            return client.publish(self.facts["cache"], self.facts["topic"], text)

    def entries(self, course_id: str, auth_token: str | None = None) -> list[dict[str, Any]]:
        """Return a course's stored comments, newest first, read with a token or as the super-user."""
        credentials = self.credentials(auth_token)
        with CacheClient(Configurations.Laptop.latest(), credentials, timedelta(minutes=1)) as client:
            response = client.list_fetch(self.facts["cache"], course_id)
        if isinstance(response, CacheListFetch.Hit):
            return [json.loads(value) for value in response.value_list_string]
        assert isinstance(response, CacheListFetch.Miss), response
        return []

    def wait_for_entries(self, course_id: str, count: int) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 20
        while len(entries := self.entries(course_id)) < count:
            assert time.monotonic() < deadline, f"{len(entries)} of {count} comments are stored"
            time.sleep(0.02)
        return entries

    def wait_for_log(self, text: str, times: int) -> None:
        """Wait until functions have logged this text as often as this, in all."""
        deadline = time.monotonic() + 20
        while (logged := self.logs().count(text)) < times:
            assert time.monotonic() < deadline, f"functions logged {logged} of {times} times: {text}"
            time.sleep(0.02)

    def logs(self) -> str:
        return "\n".join(log.read_text() for log in (self.state_dir / "logs").glob("*Function.log"))


def api_key_in(auth_token: str) -> str:
    key: str = json.loads(base64.b64decode(auth_token))["api_key"]
    return key


def published(response: Any) -> None:
    assert isinstance(response, TopicPublish.Success), response


class StartedStack(subprocess.Popen[str]):
    """`make run`, or `make demo` with `--demo`, with the Ctrl-C of a terminal of its own."""

    def __init__(self, state_dir: Path, *arguments: str, root: Path = ROOT, **environment: str) -> None:
        """`root` is the checkout. `environment` is added to this process's, except its Momento."""
        inherited = {name: value for name, value in os.environ.items() if name not in GIVEN_MOMENTO}
        super().__init__(
            [sys.executable, "-m", "local", "--state-dir", str(state_dir), *arguments],
            cwd=root,
            env={**inherited, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.state_dir = state_dir

    def wait_until_ready(self) -> None:
        """Wait until the stack has shown its round trip and serves."""
        assert self.stdout is not None
        for line in self.stdout:
            if "Running" in line:
                assert (self.state_dir / "stack.json").exists()
                return
        raise AssertionError(f"the stack ended with {self.wait()}")

    def __exit__(self, *_: object) -> None:
        self.kill()
        super().__exit__(None, None, None)


@contextmanager
def running_stack(state_dir: Path, *arguments: str, root: Path = ROOT) -> Iterator[Stack]:
    """Start a stack, and check at the end that it stops cleanly."""
    with StartedStack(state_dir, *arguments, root=root) as process:
        process.wait_until_ready()
        # A pipe that nobody reads and is full would stop the stack.
        drain = threading.Thread(target=process.communicate)
        drain.start()
        yield Stack(process.state_dir)
        process.send_signal(signal.SIGINT)
        drain.join(timeout=20)
        assert process.returncode == 0
