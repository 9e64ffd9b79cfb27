"""The whole system on this machine: AWS services, Momento, the functions, and the page."""

import asyncio
import contextlib
import ipaddress
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from local.aws.credentials import LOCAL_CREDENTIALS
from local.aws.services import AwsServices, User
from local.cloudformation.template import REGION, Template, TemplateError
from local.lambda_host.declaration import declared_functions, function_with_url, with_function_url
from local.lambda_host.host import FUNCTION_URL, AnsweredRequest, LambdaHost, Ports
from local.lambda_host.queue import Queue, QueueError
from local.momento.auth import make_api_key
from local.momento.server import MomentoServer, MomentoServerConfig, PortTakenError
from local.momento.topics import Message
from local.momento.webhooks import Delivery, WebhookSubscription
from local.poll import POLL, local_place, open_demo_poll
from local.serving.background import running
from local.serving.ports import HOST, port_in
from local.stack.container_access import CONTAINER_HOST, container_access, docker_bridge
from local.stack.facts import FACTS_FILE, MomentoFacts, StackFacts
from local.stack.given_momento import GivenMomento
from local.stack.sam_profile import PROFILE_FILES, profile_files
from local.stack.state_directory import StateDirectory
from local.stack.topics import topic_names
from local.stack.web_page import is_built, page_configuration, web_page

ROOT = Path(__file__).parents[2]
PAGE_FOLDER = ROOT / "web" / "dist"

USERS = (User("taylor", "Taylor-local-1"), User("jordan", "Jordan-local-1"))

MOMENTO_WEBHOOK = "momento-webhook"
"""The MessageSource for which Momento itself calls the webhook, without a relay."""

AwsProxy = Callable[[str], AbstractAsyncContextManager[str]]
"""Return a context manager that forwards to the given URL of the AWS services, and yields its own URL."""

_AWS_PORT = 4566
_MOMENTO = MomentoServerConfig(HOST, port=8080, web_port=8081, admin_port=9090)
_LAMBDA_PORTS = Ports(http_api=3000, invoke_api=3001, function_url=3002)
_PAGE_PORT = 5173
_LOOPBACK = {HOST, "localhost"}
_SECONDS_BETWEEN_CHECKS = 1.0


class StackObserver:
    """An observer of a stack's events that ignores them. Override the methods for those that you need."""

    def part_started(self, name: str, where: str, seconds: float) -> None:
        """Report that a part of the stack has started."""

    def port_taken(self, name: str, preferred: int, port: int) -> None:
        """Report that a part of the stack uses `port`, because its preferred port is taken."""

    def closed_to_containers(self, reason: str) -> None:
        """Report that containers cannot reach the stack."""

    def function_logged(self, function: str, line: str) -> None:
        """Report a line of a function's log."""

    def request_answered(self, request: AnsweredRequest) -> None:
        """Report an answer of the HTTP API, the function URL or the Invoke API."""

    def message_published(self, topic: str, message: Message) -> None:
        """Report a message that was published on a topic of the stack's own Momento."""

    def webhook_delivered(self, delivery: Delivery) -> None:
        """Report that Momento called the webhook for a message, or failed to."""

    def dead_letters_came(self, count: int) -> None:
        """Report that the dead-letter queue got messages, and now has `count`."""


class LocalStack:
    """The whole system, as an async context manager. `facts` has its addresses.

    Several stacks can run at the same time, each with its own state directory. The first gets the preferred
    ports.
    """

    def __init__(
        self,
        state_directory: Path,
        observer: StackObserver | None = None,
        parameters: Mapping[str, str] | None = None,
        *,
        page_folder: Path = PAGE_FOLDER,
        given_momento: GivenMomento | None = None,
        aws_proxy: AwsProxy = contextlib.nullcontext,
        function_environment: Mapping[str, str] | None = None,
        users: Sequence[User] = USERS,
    ) -> None:
        """Keep logs and `stack.json` in `state_directory`.

        `parameters` are values of the template's parameters. `page_folder` is served if it contains a page.
        `given_momento` is used instead of the stack's own Momento. The functions and their queue pollers call
        the AWS services through `aws_proxy`. `function_environment` is added to each function's variables,
        and overrides those of the template and the stack. `users` are created in the user pool.
        """
        self._state = StateDirectory(state_directory, PROFILE_FILES)
        self._observer = observer or StackObserver()
        self._parameters = parameters or {}
        self._page_folder = page_folder
        self._given_momento = given_momento
        self._aws_proxy = aws_proxy
        self._function_environment = function_environment or {}
        self._users = tuple(users)
        self._awaited: dict[str, asyncio.Future[AnsweredRequest]] = {}
        self._resources = contextlib.AsyncExitStack()
        self._aws: AwsServices
        self._host: LambdaHost
        self.facts: StackFacts

    async def __aenter__(self) -> Self:
        """Start everything.

        Raise StackRunningError, TemplateError, AwsServicesError, or OSError if a process or a port is
        unavailable. All parts are stopped then.
        """
        async with contextlib.AsyncExitStack() as resources:
            state = resources.enter_context(self._state)
            began = time.monotonic()
            # The AWS services need the longest, in their own process. The others start meanwhile.
            self._aws = await resources.enter_async_context(AwsServices(_AWS_PORT, self.logs / "aws.log"))
            template = self._load_template()
            if self._given_momento:
                momento = self._given_momento.facts
            else:
                own_momento = await self._start_momento(resources, template)
                momento = MomentoFacts(
                    HOST, own_momento.port, own_momento.web_url, own_momento.admin_url, own_momento.api_key
                )
            template = await self._aws.create_resources(template)
            if user_pool := _only(template, "AWS::Cognito::UserPool"):
                await self._aws.create_users(user_pool, self._users)
            self._report("AWS services", self._aws.endpoint_url, _AWS_PORT, began)
            self._host = await self._start_functions(resources, template, momento)
            self.facts = await self._facts(template, momento)
            if self.facts.message_source == MOMENTO_WEBHOOK:
                for topic in self.facts.topics:
                    own_momento.add_webhook(
                        WebhookSubscription(
                            self.facts.cache, topic, self.facts.webhook_url, self.facts.signing_secret
                        )
                    )
            if POLL in self.facts.topics and not self._given_momento:
                await asyncio.to_thread(open_demo_poll, local_place(self.facts))
            for bus in template.resources("AWS::Events::EventBus"):
                await self._aws.create_event_queue(template.attributes[bus])
            has_momento = momento.web_url or not momento.local_address
            if is_built(self._page_folder) and user_pool and has_momento:
                languages = template.resolve({"Ref": "ChatLanguages"}).split(",")
                self.facts = await self._start_page(resources, self.facts, languages)
            await resources.enter_async_context(running(self._watch_dead_letters()))
            profile = await self._open_to_containers(resources, template, momento)
            state.publish({**profile, FACTS_FILE: self.facts.to_json()})
            self._resources = resources.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything."""
        await self._resources.aclose()

    @property
    def logs(self) -> Path:
        """Return the folder of the logs: `<function>.log` for each function, and `aws.log`."""
        return self._state.logs

    def delivery_of(self, text: str) -> asyncio.Future[AnsweredRequest]:
        """Return a future for the webhook request with the next message that contains `text`.

        If the relay will retry a request, the future waits for the next one.
        """
        self._awaited[text] = asyncio.get_running_loop().create_future()
        return self._awaited[text]

    def function_processes(self, function: str) -> list[int]:
        """Return the ids of a function's running processes."""
        return self._host.processes(function)

    async def ended(self) -> None:
        """Wait until the AWS services end, which happens only if they fail."""
        await self._aws.ended()

    def _load_template(self) -> Template:
        given = self._given_momento
        fixed = {
            "MomentoApiKey": given.api_key if given else make_api_key(),
            "MomentoEndpoint": given.host if given else HOST,
        }
        if refused := sorted(fixed.keys() & self._parameters.keys()):
            raise TemplateError(
                f"{' and '.join(refused)} cannot be set: the stack uses its own Momento, "
                "or that of MOMENTO_API_KEY and MOMENTO_ENDPOINT in the environment."
            )
        defaults = {"AllowedOrigins": "*", "Topics": ",".join(topic_names())}
        issuer = self._parameters.get("JwtIssuer")
        template = Template.load(
            ROOT / "template.yaml",
            {**defaults, **self._parameters, **fixed},
            # The template requires https, but an issuer on this machine may use http.
            unchecked=["JwtIssuer"] if issuer and _is_on_this_machine(issuer) else [],
        )
        if not function_with_url(template):
            raise TemplateError(
                "The local stack needs a function with a FunctionUrlConfig in the template, "
                "to call it for every message."
            )
        if given and template.resolve({"Ref": "MessageSource"}) == MOMENTO_WEBHOOK:
            raise TemplateError(
                f"MessageSource={MOMENTO_WEBHOOK} needs the stack's own Momento: "
                f"{given.host} cannot call a webhook on this machine."
            )
        return template

    async def _start_momento(self, resources: contextlib.AsyncExitStack, template: Template) -> MomentoServer:
        began = time.monotonic()
        config = replace(
            _MOMENTO,
            api_key=template.resolve({"Ref": "MomentoApiKey"}),
            caches=[template.resolve({"Ref": "CacheName"})],
        )
        while True:  # At most once per port. gRPC accepts no socket, so `listen` cannot be used.
            try:
                momento = await resources.enter_async_context(
                    MomentoServer(
                        config,
                        on_delivery=self._observer.webhook_delivered,
                        on_message=self._observer.message_published,
                    )
                )
                break
            except PortTakenError as error:
                if error.port == 0:
                    raise
                any_free_port: dict[str, Any] = {error.setting: 0}
                config = replace(config, **any_free_port)
        self._report("Momento", f"{HOST}:{momento.port}", _MOMENTO.port, began)
        self._report_port("Momento for browsers", momento.web_url, _MOMENTO.web_port)
        self._report_port("Momento's test admin", momento.admin_url, _MOMENTO.admin_port)
        return momento

    async def _start_functions(
        self, resources: contextlib.AsyncExitStack, template: Template, momento: MomentoFacts
    ) -> LambdaHost:
        began = time.monotonic()
        aws_endpoint_url = await resources.enter_async_context(self._aws_proxy(self._aws.endpoint_url))
        jwks_urls = {}
        if user_pool := _only(template, "AWS::Cognito::UserPool"):
            issuer = template.resolve(
                {"Fn::Sub": f"https://cognito-idp.${{AWS::Region}}.${{AWS::URLSuffix}}/{user_pool}"}
            )
            jwks_urls[issuer] = f"{self._aws.endpoint_url}/{user_pool}/.well-known/jwks.json"
        host = await resources.enter_async_context(
            LambdaHost(
                template,
                ROOT,
                environment={
                    **_endpoints(aws_endpoint_url, momento.local_address),
                    **self._function_environment,
                },
                aws_endpoint_url=aws_endpoint_url,
                assume_role=self._aws.assume_role,
                jwks_urls=jwks_urls,
                log_folder=self.logs,
                ports=_LAMBDA_PORTS,
                on_log_line=self._observer.function_logged,
                on_request=self._answered,
            )
        )
        self._report("Token API", host.http_api_url, _LAMBDA_PORTS.http_api, began)
        self._report("Lambda", host.invoke_url, _LAMBDA_PORTS.invoke_api, began)
        self._report("Webhook", host.function_url, _LAMBDA_PORTS.function_url, began)
        return host

    async def _facts(self, template: Template, momento: MomentoFacts) -> StackFacts:
        topics = template.resolve({"Ref": "Topics"}).split(",")
        return StackFacts(
            momento=momento,
            token_url=f"{self._host.http_api_url}/token",
            webhook_url=f"{self._host.function_url}/",
            lambda_url=self._host.invoke_url,
            aws_endpoint_url=self._aws.endpoint_url,
            web_url=None,
            cache=template.resolve({"Ref": "CacheName"}),
            topic=topics[0],
            topics=topics,
            user_pool_id=(user_pool := _only(template, "AWS::Cognito::UserPool")),
            user_pool_client_id=_only(template, "AWS::Cognito::UserPoolClient"),
            users=self._users if user_pool else (),
            signing_secret=await self._aws.secret(template.resolve({"Ref": "SigningSecret"})),
            message_source=template.resolve({"Ref": "MessageSource"}),
            spill_queue_url=template.resolve({"Ref": "SpillQueue"}),
            dead_letter_queue_url=template.resolve({"Ref": "DeadLetterQueue"}),
        )

    async def _start_page(
        self, resources: contextlib.AsyncExitStack, facts: StackFacts, languages: Sequence[str]
    ) -> StackFacts:
        """Serve the page, and return the facts with its URL."""
        began = time.monotonic()
        url = await resources.enter_async_context(
            web_page(self._page_folder, page_configuration(facts, languages), _PAGE_PORT)
        )
        self._report("Page", url, _PAGE_PORT, began)
        return replace(facts, web_url=url)

    async def _open_to_containers(
        self, resources: contextlib.AsyncExitStack, template: Template, momento: MomentoFacts
    ) -> dict[str, str]:
        """Let containers use the stack, and return the files that configure SAM's commands for it."""
        momento_address = momento.local_address
        ports = [port_in(self._aws.endpoint_url), port_in(self._host.function_url)]
        if momento_address and momento.host in _LOOPBACK:
            momento_address = f"{CONTAINER_HOST}:{momento.port}"
            ports.append(momento.port)
        if bridge := docker_bridge():
            try:
                await resources.enter_async_context(container_access(bridge, ports))
            except OSError as error:
                self._observer.closed_to_containers(str(error))
        aws_port, function_url_port = ports[:2]
        environment = _endpoints(f"http://{CONTAINER_HOST}:{aws_port}", momento_address)
        template = with_function_url(template, f"http://{CONTAINER_HOST}:{function_url_port}")
        return profile_files(declared_functions(template, ROOT, environment))

    async def _watch_dead_letters(self) -> None:
        """Report new messages in the dead-letter queue, forever."""
        account, name = self.facts.dead_letter_queue_url.split("/")[-2:]
        arn = f"arn:aws:sqs:{REGION}:{account}:{name}"
        previous = 0
        async with aiohttp.ClientSession() as session:
            queue = Queue(session, self._aws.endpoint_url, arn, LOCAL_CREDENTIALS)
            while True:
                with contextlib.suppress(QueueError):
                    count = int(await queue.attribute("ApproximateNumberOfMessages"))
                    if count > previous:
                        self._observer.dead_letters_came(count)
                    previous = count
                await asyncio.sleep(_SECONDS_BETWEEN_CHECKS)

    def _report(self, name: str, where: str, preferred_port: int, began: float) -> None:
        self._observer.part_started(name, where, time.monotonic() - began)
        self._report_port(name, where, preferred_port)

    def _report_port(self, name: str, where: str, preferred_port: int) -> None:
        port = port_in(where)
        if port != preferred_port:
            self._observer.port_taken(name, preferred_port, port)

    def _answered(self, request: AnsweredRequest) -> None:
        self._observer.request_answered(request)
        if request.server == FUNCTION_URL and self._awaited and self._is_final(request.status):
            message = _text(request.body)
            for text in [text for text in self._awaited if text in message]:
                awaited = self._awaited.pop(text)
                if not awaited.done():  # The caller may have cancelled it.
                    awaited.set_result(request)

    def _is_final(self, status: int) -> bool:
        """Return whether no other request with the message follows. Momento itself never retries."""
        return self.facts.message_source == MOMENTO_WEBHOOK or ends_delivery(status)


def ends_delivery(status: int) -> bool:
    """Return whether the webhook has a message, or refuses it for good, so that the relay goes on."""
    return status < 300 or status in {400, 422}


def _endpoints(aws_endpoint_url: str, momento_address: str) -> dict[str, str]:
    """Return the variables that make functions use the stack."""
    return {"AWS_ENDPOINT_URL": aws_endpoint_url, "MOMENTO_LOCAL": momento_address}


def _text(body: bytes) -> str:
    """Return the message's text in the body of a webhook request, or an empty string."""
    try:
        return str(json.loads(body)["text"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return ""


def _is_on_this_machine(url: str) -> bool:
    """Return whether a URL uses http on the loopback interface."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme != "http":
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _only(template: Template, resource_type: str) -> str | None:
    """Return the `Ref` of the only resource of a type, or None if it does not exist."""
    names = list(template.resources(resource_type))
    if len(names) > 1:
        raise TemplateError(f"The local stack supports only one {resource_type}, but the template has more.")
    return template.attributes[names[0]] if names else None
