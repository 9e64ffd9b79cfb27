"""The local stack and its round trip, where something is not as usual."""

import asyncio
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from momento import CredentialProvider, TopicClientAsync, TopicConfigurations

from local.cli.display import Display
from local.cli.round_trip import Hop, round_trip
from local.cloudformation.template import TemplateError
from local.lambda_host.host import FUNCTION_URL, AnsweredRequest
from local.momento.server import MomentoServer, MomentoServerConfig, PortTakenError
from local.momento.webhooks import Delivery
from local.serving.ports import HOST, listen, port_in, port_of
from local.stack.client import LoopError
from local.stack.given_momento import GivenMomento
from local.stack.local_stack import ROOT, LocalStack, StackObserver
from tests.support.flow_proxy import FlowProxy
from tests.support.jwt_issuer import ISSUER, Issuer, serving
from tests.support.stack_facts import FACTS


class Notes(StackObserver):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}
        self.delivered: list[Delivery] = []
        self.called: list[AnsweredRequest] = []
        self.dead_letters: asyncio.Queue[int] = asyncio.Queue()

    def port_taken(self, name: str, preferred: int, port: int) -> None:
        self.taken[name] = preferred

    def request_answered(self, request: AnsweredRequest) -> None:
        if request.server == FUNCTION_URL:
            self.called.append(request)

    def webhook_delivered(self, delivery: Delivery) -> None:
        self.delivered.append(delivery)

    def dead_letters_came(self, count: int) -> None:
        self.dead_letters.put_nowait(count)


async def test_every_taken_port_of_momento_is_reported(tmp_path: Path) -> None:
    notes = Notes()
    # Where another process has taken it already, so much the better.
    with listen(8080), listen(8081), listen(9090):
        async with LocalStack(tmp_path, notes):
            pass
    expected = {"Momento": 8080, "Momento for browsers": 8081, "Momento's test admin": 9090}
    assert expected.items() <= notes.taken.items()


async def test_starting_fails_if_momento_gets_no_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def get_none(_server: MomentoServer) -> None:
        raise PortTakenError("web_port", 0)

    monkeypatch.setattr(MomentoServer, "start", get_none)
    with pytest.raises(PortTakenError):
        await LocalStack(tmp_path).__aenter__()


@pytest.mark.parametrize(
    ("message_source", "caller"), [("relay", "The relay called"), ("momento-webhook", "Momento called")]
)
async def test_a_message_of_another_user_is_not_taken_for_its_own(
    tmp_path: Path, message_source: str, caller: str
) -> None:
    notes = Notes()
    async with LocalStack(tmp_path, notes, {"MessageSource": message_source}) as stack:
        at = stack.facts.momento
        assert at.api_key
        credentials = CredentialProvider(at.api_key, at.host, at.host, at.host, at.port)
        own = stack.delivery_of("mine")
        async with TopicClientAsync(TopicConfigurations.Default.latest(), credentials) as topics:
            await topics.publish(stack.facts.cache, stack.facts.topic, "somebody else's")
            async with asyncio.timeout(30):
                while not notes.called:  # noqa: ASYNC110 (whoever waits for it would be what is tested)
                    await asyncio.sleep(0.01)
            assert not own.done()
            await topics.publish(stack.facts.cache, stack.facts.topic, "mine")
        async with asyncio.timeout(30):
            assert json.loads((await own).body)["text"] == "mine"
        # A user's own comment comes back beside that, and with every hop.
        hops: list[Hop] = []
        await round_trip(stack, hops.append)
    assert [hop.name for hop in hops] == ["Sign in", "Token", "Publish", "Webhook", "Cache"]
    assert hops[3].what_happened.startswith(caller)
    assert bool(notes.delivered) == (message_source == "momento-webhook")
    assert (stack.logs / "RelayFunction.log").exists() == (message_source == "relay")


async def test_dead_letters_are_reported(tmp_path: Path) -> None:
    notes = Notes()
    async with LocalStack(tmp_path, notes) as stack:
        at = stack.facts.momento
        assert at.api_key
        credentials = CredentialProvider(at.api_key, at.host, at.host, at.host, at.port)
        async with TopicClientAsync(TopicConfigurations.Default.latest(), credentials) as topics:
            for count in (1, 2):
                await topics.publish(stack.facts.cache, stack.facts.topic, "nobody says this")
                async with asyncio.timeout(30):
                    assert await notes.dead_letters.get() == count


async def test_a_killed_relay_is_replaced_by_another_process(tmp_path: Path) -> None:
    async with LocalStack(tmp_path) as stack:
        await round_trip(stack, lambda _hop: None)
        [relay] = stack.function_processes("RelayFunction")
        [webhook] = stack.function_processes("WebhookFunction")
        os.kill(webhook, signal.SIGKILL)
        await round_trip(stack, lambda _hop: None)
        assert webhook not in stack.function_processes("WebhookFunction")
        assert stack.function_processes("RelayFunction") == [relay]


async def test_a_stack_whose_relay_works_stops_at_once(tmp_path: Path) -> None:
    async with LocalStack(tmp_path) as stack:
        await round_trip(stack, lambda _hop: None)
        assert stack.function_processes("RelayFunction")
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 10


async def test_functions_and_their_queues_reach_the_aws_services_through_a_proxy(tmp_path: Path) -> None:
    called: Counter[str] = Counter()

    @asynccontextmanager
    async def proxy(url: str) -> AsyncIterator[str]:
        async def pass_on(request: web.Request) -> web.Response:
            called[request.headers["X-Amz-Target"]] += 1
            async with http.post(url, data=await request.read(), headers=request.headers) as response:
                return web.Response(status=response.status, body=await response.read())

        app = web.Application()
        app.router.add_post("/", pass_on)
        runner = web.AppRunner(app)
        await runner.setup()
        sock = listen(0)
        await web.SockSite(runner, sock).start()
        async with aiohttp.ClientSession(auto_decompress=False) as http:
            yield f"http://{HOST}:{port_of(sock)}"
        await runner.cleanup()

    async with LocalStack(tmp_path, aws_proxy=proxy) as stack:
        await round_trip(stack, lambda _hop: None)
        assert port_in(stack.facts.aws_endpoint_url) not in (0, None)
    lines = (stack.logs / "aws.log").read_text().splitlines()
    allowed = [json.loads(line) for line in lines if line.startswith("{")]
    assert called.total() >= len(allowed) > 0
    assert {
        "secretsmanager.GetSecretValue",
        "DynamoDB_20120810.UpdateItem",
        "AmazonSQS.ReceiveMessage",
    } <= set(called)


async def test_functions_reach_momento_and_the_webhook_at_the_addresses_in_their_environment(
    tmp_path: Path,
) -> None:
    async with FlowProxy.listening() as momento, FlowProxy.listening() as webhook:
        environment = {"MOMENTO_LOCAL": momento.address, "WEBHOOK_URL": f"http://{webhook.address}/"}
        async with LocalStack(tmp_path, function_environment=environment) as stack:
            # The relay has begun meanwhile, and waits.
            momento.forward_to(stack.facts.momento.port)
            webhook.forward_to(port_in(stack.facts.webhook_url.rstrip("/")))
            await round_trip(stack, lambda _hop: None)
            assert momento.flows
            assert webhook.flows


@pytest.fixture
async def momento() -> AsyncIterator[MomentoServer]:
    """Return a Momento that no stack has started."""
    async with MomentoServer(MomentoServerConfig(caches=["course-comments"])) as server:
        yield server


async def test_a_given_momento_is_used_and_its_key_kept_secret(
    tmp_path: Path, page_folder: Path, momento: MomentoServer
) -> None:
    given = GivenMomento(momento.api_key, HOST, momento.port)
    hops: list[Hop] = []
    state = tmp_path / "state"
    async with LocalStack(state, page_folder=page_folder, given_momento=given) as stack:
        await round_trip(stack, hops.append)
        facts = json.loads((state / "stack.json").read_text())
        assert facts["momento"] == {
            "host": HOST,
            "port": momento.port,
            "web_url": None,
            "admin_url": None,
            "api_key": None,
        }
        assert facts["web_url"] is None
        files = [file for file in state.rglob("*") if file.is_file()]
        assert state / "stack.json" in files
        assert not [file for file in files if momento.api_key in file.read_text()]
        for environment in json.loads((state / "sam-environment.json").read_text()).values():
            assert environment["MOMENTO_LOCAL"] == f"host.docker.internal:{momento.port}"
    assert hops[3].what_happened.startswith("The relay called")


async def test_a_given_momento_needs_the_cache(tmp_path: Path) -> None:
    async with MomentoServer(MomentoServerConfig()) as momento:
        given = GivenMomento(momento.api_key, HOST, momento.port)
        async with LocalStack(tmp_path, given_momento=given) as stack:
            with pytest.raises(LoopError, match=f"no cache 'course-comments' at {HOST}. Create it"):
                await round_trip(stack, lambda _hop: None)


async def test_a_given_momento_calls_no_webhook_here(tmp_path: Path) -> None:
    given = GivenMomento("key", "cell.momentohq.com", 443)
    with pytest.raises(TemplateError, match="MessageSource=momento-webhook needs the stack's own Momento"):
        await LocalStack(
            tmp_path, parameters={"MessageSource": "momento-webhook"}, given_momento=given
        ).__aenter__()


async def test_momento_itself_is_reached_by_tls_and_by_the_page_too(
    tmp_path: Path, page_folder: Path
) -> None:
    given = GivenMomento("key", "cell.momento.invalid", 443)
    async with (
        LocalStack(tmp_path, page_folder=page_folder, given_momento=given) as stack,
        aiohttp.ClientSession(str(stack.facts.web_url)) as http,
    ):
        async with http.get("/config.json") as response:
            assert (await response.json())["momentoEndpoint"] is None
        environments = json.loads((tmp_path / "sam-environment.json").read_text())
        for environment in environments.values():
            assert environment["MOMENTO_ENDPOINT"] == "cell.momento.invalid"
            assert environment["MOMENTO_LOCAL"] == ""


async def test_a_template_without_a_function_url_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (ROOT / "template.yaml").read_text().splitlines(keepends=True)
    (tmp_path / "template.yaml").write_text(
        "".join(line for line in lines if "FunctionUrlConfig:" not in line)
    )
    (tmp_path / "src").symlink_to(ROOT / "src")
    monkeypatch.setattr("local.stack.local_stack.ROOT", tmp_path)
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
async def test_a_sign_in_without_a_jwt_is_reported(answer: dict[str, Any], complaint: str) -> None:
    async def sign_in(_request: web.Request) -> web.Response:
        return web.json_response(answer)

    app = web.Application()
    app.router.add_post("/", sign_in)
    runner = web.AppRunner(app)
    await runner.setup()
    sock = listen(0)
    await web.SockSite(runner, sock).start()
    facts = dataclasses.replace(FACTS, aws_endpoint_url=f"http://{HOST}:{port_of(sock)}/")
    with pytest.raises(LoopError, match=complaint):
        await round_trip(cast("LocalStack", SimpleNamespace(facts=facts)), lambda _hop: None)
    await runner.cleanup()


@pytest.fixture
def page_folder(tmp_path: Path) -> Path:
    """Return a folder like that of a built page."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>Page</h1>")
    (folder / "assets" / "page.css").write_text("h1 {}")
    (folder / "config.json").write_text("{}")
    return folder


async def test_the_page_is_served_with_what_it_needs_to_know(tmp_path: Path, page_folder: Path) -> None:
    notes = Notes()
    with listen(5173):
        async with (
            LocalStack(tmp_path, notes, page_folder=page_folder) as stack,
            aiohttp.ClientSession(stack.facts.web_url) as http,
        ):
            facts = stack.facts
            assert json.loads((tmp_path / "stack.json").read_text())["web_url"] == facts.web_url
            for path, content_type, content in (
                ("/", "text/html", "<h1>Page</h1>"),
                ("/index.html", "text/html", "<h1>Page</h1>"),
                ("/assets/page.css", "text/css", "h1 {}"),
            ):
                response = await http.get(path)
                assert (response.status, response.content_type) == (200, content_type)
                assert response.headers["Cache-Control"] == "no-store"
                assert await response.text() == content
            response = await http.get("/config.json")
            assert response.headers["Cache-Control"] == "no-store"
            assert await response.json() == {
                "tokenUrl": facts.token_url,
                "region": "us-east-1",
                "userPoolClientId": facts.user_pool_client_id,
                "cognitoEndpoint": facts.aws_endpoint_url,
                "momentoEndpoint": facts.momento.web_url,
                "courseId": "123",
                "pollId": "demo",
                "room": "lobby",
                "languages": ["en", "de", "es"],
                "users": [{"username": user.username, "password": user.password} for user in facts.users],
            }
    assert notes.taken["Page"] == 5173


async def test_a_browser_may_call_every_address_that_the_page_gets(tmp_path: Path, page_folder: Path) -> None:
    async with LocalStack(tmp_path, page_folder=page_folder) as stack, aiohttp.ClientSession() as http:
        facts = stack.facts
        for url, headers in (
            (facts.token_url, "authorization,content-type"),
            (facts.aws_endpoint_url, "content-type,x-amz-target,x-amz-user-agent,amz-sdk-request"),
            (f"{facts.momento.web_url}/cache_client.Scs/Get", "authorization,cache,x-grpc-web"),
        ):
            response = await http.options(
                url,
                headers={
                    "Origin": str(facts.web_url),
                    "Access-Control-Request-Method": "POST",
                    "Access-Control-Request-Headers": headers,
                },
            )
            assert response.ok, url
            assert response.headers["Access-Control-Allow-Origin"] in ("*", facts.web_url)
            allowed = response.headers["Access-Control-Allow-Headers"].lower().replace(" ", "")
            assert set(headers.split(",")) <= set(allowed.split(",")) or allowed == "*", url


async def test_without_a_page_no_address_is_shown(tmp_path: Path) -> None:
    async with LocalStack(tmp_path, page_folder=tmp_path / "dist") as stack:
        assert stack.facts.web_url is None


async def test_a_value_of_a_parameter_takes_the_place_of_the_default(tmp_path: Path) -> None:
    async with LocalStack(tmp_path, parameters={"CacheName": "other", "TokenLifetimeMinutes": "7"}) as stack:
        assert stack.facts.cache == "other"
        hops: list[Hop] = []
        await round_trip(stack, hops.append)
    assert "for 7 minutes" in hops[1].what_happened


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_users_can_sign_in_at_an_issuer_on_this_machine(
    tmp_path: Path, page_folder: Path, host: str
) -> None:
    hops: list[Hop] = []
    async with serving(Issuer({"first": rsa.generate_private_key(65537, 2048)})) as issuer:
        issuer.published = ["first"]
        url = issuer.url.replace("127.0.0.1", host)
        parameters = {"JwtIssuer": url, "JwtAudience": "app,another"}
        async with LocalStack(tmp_path / "state", parameters=parameters, page_folder=page_folder) as stack:
            await round_trip(stack, hops.append)
            facts = json.loads((tmp_path / "state" / "stack.json").read_text())
            for claims, status in (({}, 200), ({"iss": ISSUER}, 401), ({"aud": "unknown"}, 401)):
                headers = {"Authorization": f"Bearer {issuer.token(**{'iss': url, **claims})}"}
                async with (
                    aiohttp.ClientSession() as http,
                    http.post(stack.facts.token_url, headers=headers) as response,
                ):
                    assert response.status == status
                    if status == 200:
                        assert (await response.json())["tokenId"] == "someone"
    assert [hop.name for hop in hops] == ["Publish", "Webhook", "Cache"]
    assert facts["user_pool_id"] is None
    assert facts["user_pool_client_id"] is None
    assert facts["users"] == []
    assert facts["web_url"] is None  # The page signs users in at a user pool.


async def test_the_stack_starts_with_an_issuer_that_it_cannot_reach(tmp_path: Path) -> None:
    parameters = {"JwtIssuer": "https://issuer.invalid/", "JwtAudience": "app"}
    async with (
        LocalStack(tmp_path, parameters=parameters) as stack,
        aiohttp.ClientSession() as http,
        http.post(stack.facts.token_url, headers={"Authorization": "Bearer a.b.c"}) as response,
    ):
        assert response.status == 401


@pytest.mark.parametrize(
    "issuer",
    [
        "http://issuer.test",
        "http://localhost.issuer.test",
        "http://127.0.0.1.issuer.test",
        "http://192.0.2.1",
        "http://[",
        "ftp://localhost",
        "localhost",
    ],
)
async def test_an_issuer_elsewhere_needs_https(tmp_path: Path, issuer: str) -> None:
    with pytest.raises(TemplateError, match="Parameter 'JwtIssuer' must match pattern"):
        await LocalStack(tmp_path, parameters={"JwtIssuer": issuer, "JwtAudience": "app"}).__aenter__()


@pytest.mark.parametrize(
    ("parameter", "complaint"),
    [("NoSuch", r"Parameters: \[NoSuch\] do not exist"), ("MomentoApiKey", "MomentoApiKey cannot be set")],
)
async def test_a_parameter_that_cannot_be_chosen_is_refused(
    tmp_path: Path, parameter: str, complaint: str
) -> None:
    with pytest.raises(TemplateError, match=complaint):
        await LocalStack(tmp_path, parameters={parameter: "1"}).__aenter__()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "complaint"),
    [
        (["--parameter", "TokenLifetimeMinutes"], 2, "'TokenLifetimeMinutes' is not NAME=VALUE"),
        (["--parameter", "=1"], 2, "'=1' is not NAME=VALUE"),
        (["--parameter", "NoSuch=1"], 1, "Parameters: [NoSuch] do not exist in the template"),
        (["--parameter", "CacheName=a"], 1, "Parameter 'CacheName' must match pattern"),
        (["--parameter", "JwtIssuer=https://a.test"], 1, "JwtIssuer requires JwtAudience."),
    ],
)
def test_an_unknown_parameter_on_the_command_line_is_reported(
    tmp_path: Path, arguments: list[str], exit_code: int, complaint: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "local", "--demo", "--state-dir", tmp_path, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == exit_code
    assert complaint in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_panel_says_which_momento_it_is_and_why_there_is_no_page(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = GivenMomento("key", HOST, 8080).facts
    Display().ready(dataclasses.replace(FACTS, momento=given), Path(".local"))
    panel = capsys.readouterr().out
    assert "none: the address of 127.0.0.1:8080 for browsers is unknown" in panel
    assert "127.0.0.1:8080 (given by MOMENTO_API_KEY and MOMENTO_ENDPOINT)" in panel
    assert "Test admin" not in panel


@pytest.mark.parametrize("web_url", ["http://page", None])
def test_the_panel_shows_first_where_the_page_is(
    web_url: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    Display().ready(dataclasses.replace(FACTS, web_url=web_url), Path(".local"))
    panel = capsys.readouterr().out.splitlines()
    assert (web_url or "none: install Node (npm), and make run builds it") in panel[1]
    assert "taylor / password" in panel[2]


def test_the_panel_names_the_issuer_of_users_that_sign_in_elsewhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    facts = dataclasses.replace(FACTS, user_pool_id=None, user_pool_client_id=None, users=())
    Display().ready(facts, Path(".local"))
    shown = capsys.readouterr().out
    assert "none: it needs a user pool, but JwtIssuer names another issuer" in shown
    assert "those of the issuer in JwtIssuer" in shown
    assert "JWT=... # of your issuer" in shown
    assert "InitiateAuth" not in shown


def test_the_panel_shows_the_test_admin(capsys: pytest.CaptureFixture[str]) -> None:
    Display().ready(FACTS, Path(".local"))
    assert str(FACTS.momento.admin_url) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("message_source", "caller"), [("relay", "the relay, RelayFunction"), ("momento-webhook", "Momento")]
)
def test_the_panel_says_who_calls_the_webhook(
    message_source: str, caller: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Display().ready(dataclasses.replace(FACTS, message_source=message_source), Path(".local"))
    assert f"{FACTS.webhook_url} (called by {caller})" in capsys.readouterr().out


def test_the_display_says_where_a_message_that_was_not_stored_is(capsys: pytest.CaptureFixture[str]) -> None:
    Display().request_answered(AnsweredRequest(FUNCTION_URL, "POST", "/", b"", 202, 7))
    Display().dead_letters_came(2)
    spilled, dead = capsys.readouterr().out.splitlines()
    assert "not stored yet, kept in the spill queue" in spilled
    assert "2 in the dead-letter queue" in dead


@pytest.mark.parametrize("where", ["file", "file/below", "taken"])
def test_an_unusable_state_directory_is_reported_in_one_line(tmp_path: Path, where: str) -> None:
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
