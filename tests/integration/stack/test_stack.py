"""The local stack and its round trip, where something is not as usual."""

import asyncio
import dataclasses
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from momento import CredentialProvider, TopicClientAsync, TopicConfigurations

from local.aws.services import User
from local.display import Display
from local.facts import MomentoFacts, StackFacts
from local.momento.server import MomentoServer, PortTakenError
from local.momento.webhooks import Delivery
from local.ports import HOST, listen, port_of
from local.round_trip import Hop, RoundTripError, round_trip
from local.stack import ROOT, LocalStack, StackObserver
from local.template import TemplateError

FACTS = StackFacts(
    momento=MomentoFacts(HOST, 8080, "http://web", "http://admin", "key"),
    token_url="http://token",
    webhook_url="http://webhook",
    lambda_url="http://lambda",
    aws_endpoint_url="http://aws",
    web_url=None,
    cache="cache",
    topic="topic",
    user_pool_id="pool",
    user_pool_client_id="client",
    users=(User("taylor", "password"),),
    signing_secret="secret",
)


class Notes(StackObserver):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}
        self.delivered: list[Delivery] = []

    def port_taken(self, name: str, preferred: int, port: int) -> None:
        self.taken[name] = preferred

    def webhook_delivered(self, delivery: Delivery) -> None:
        self.delivered.append(delivery)


async def test_every_port_of_momentos_that_is_taken_is_reported(tmp_path: Path) -> None:
    notes = Notes()
    # Where another process has taken it already, so much the better.
    with listen(8080), listen(8081), listen(9090):
        async with LocalStack(tmp_path, notes):
            pass
    expected = {"Momento": 8080, "Momento for browsers": 8081, "Momento's test admin": 9090}
    assert expected.items() <= notes.taken.items()


async def test_starting_ends_where_momento_gets_no_port_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def get_none(_server: MomentoServer) -> None:
        raise PortTakenError("web_port", 0)

    monkeypatch.setattr(MomentoServer, "start", get_none)
    with pytest.raises(PortTakenError):
        await LocalStack(tmp_path).__aenter__()


async def test_a_message_of_somebody_else_is_not_taken_for_the_own(tmp_path: Path) -> None:
    notes = Notes()
    async with LocalStack(tmp_path, notes) as stack:
        at = stack.facts.momento
        credentials = CredentialProvider(at.api_key, at.host, at.host, at.host, at.port)
        own = stack.delivery_of("mine")
        async with TopicClientAsync(TopicConfigurations.Default.latest(), credentials) as topics:
            await topics.publish(stack.facts.cache, stack.facts.topic, "somebody else's")
            async with asyncio.timeout(30):
                while not notes.delivered:  # noqa: ASYNC110 (whoever waits for it would be what is tested)
                    await asyncio.sleep(0.01)
            assert not own.done()
            await topics.publish(stack.facts.cache, stack.facts.topic, "mine")
        async with asyncio.timeout(30):
            assert (await own).text == "mine"
        # A user's own comment comes back beside that, and with every hop.
        hops: list[Hop] = []
        await round_trip(stack, hops.append)
    assert [hop.name for hop in hops] == ["Sign in", "Token", "Publish", "Webhook", "Cache"]


async def test_a_template_without_a_function_url_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (ROOT / "template.yaml").read_text().splitlines(keepends=True)
    (tmp_path / "template.yaml").write_text(
        "".join(line for line in lines if "FunctionUrlConfig:" not in line)
    )
    (tmp_path / "src").symlink_to(ROOT / "src")
    monkeypatch.setattr("local.stack.ROOT", tmp_path)
    with pytest.raises(TemplateError, match="FunctionUrlConfig"):
        await LocalStack(tmp_path / "state").__aenter__()


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({"ChallengeName": "NEW_PASSWORD_REQUIRED"}, "NEW_PASSWORD_REQUIRED"),
        ({"AuthenticationResult": {}}, "without an IdToken"),
        ({}, "without an IdToken"),
    ],
)
async def test_a_sign_in_without_a_jwt_is_said_so(answer: dict[str, Any], complaint: str) -> None:
    async def sign_in(_request: web.Request) -> web.Response:
        return web.json_response(answer)

    app = web.Application()
    app.router.add_post("/", sign_in)
    runner = web.AppRunner(app)
    await runner.setup()
    sock = listen(0)
    await web.SockSite(runner, sock).start()
    facts = dataclasses.replace(FACTS, aws_endpoint_url=f"http://{HOST}:{port_of(sock)}/")
    with pytest.raises(RoundTripError, match=complaint):
        await round_trip(cast("LocalStack", SimpleNamespace(facts=facts)), lambda _hop: None)
    await runner.cleanup()


def test_the_panel_shows_the_test_admin(capsys: pytest.CaptureFixture[str]) -> None:
    Display().ready(FACTS, Path(".local"))
    assert "http://admin" in capsys.readouterr().out


@pytest.mark.parametrize("where", ["file", "file/below", "taken"])
def test_a_state_directory_that_cannot_be_one_is_said_so_in_a_line(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "stack.json").mkdir(parents=True)
    ended = subprocess.run(
        [sys.executable, "-m", "local", "--demo", "--state-dir", tmp_path / where],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == ""
    assert len(ended.stdout.splitlines()) == 1
    assert str(tmp_path) in ended.stdout
