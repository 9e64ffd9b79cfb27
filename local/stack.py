"""The whole system on one machine: AWS services, Momento, the functions, and the webhook that joins them."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.aws.services import AwsServices, User
from local.container_access import CONTAINER_HOST, container_access, docker_bridge
from local.facts import MomentoFacts, StackFacts
from local.lambda_host.declaration import declared_functions
from local.lambda_host.host import AnsweredRequest, LambdaHost, Ports
from local.momento.server import MomentoServer, MomentoServerConfig, PortTakenError
from local.momento.webhooks import Delivery, WebhookSubscription
from local.ports import HOST, port_in
from local.sam_profile import PROFILE_FILES, profile_files
from local.state_directory import FACTS_FILE, StateDirectory
from local.template import Template, TemplateError
from local.web_page import is_built, page_configuration, web_page

ROOT = Path(__file__).parents[1]
PAGE_FOLDER = ROOT / "web" / "dist"

USERS = (User("taylor", "Taylor-local-1"), User("jordan", "Jordan-local-1"))

_AWS_PORT = 4566
_MOMENTO = MomentoServerConfig(HOST, port=8080, web_port=8081, admin_port=9090)
_LAMBDA_PORTS = Ports(http_api=3000, invoke_api=3001, function_url=3002)
_PAGE_PORT = 5173


class StackObserver:
    """Is told what happens in a stack; does nothing with it."""

    def part_started(self, name: str, where: str, seconds: float) -> None:
        """A part of the stack is up."""

    def port_taken(self, name: str, preferred: int, port: int) -> None:
        """A part, or what it serves beside its main purpose, is at another port than usual."""

    def closed_to_containers(self, reason: str) -> None:
        """Containers cannot reach the stack."""

    def function_logged(self, function: str, line: str) -> None:
        """A function has logged a line."""

    def request_answered(self, request: AnsweredRequest) -> None:
        """The HTTP API, the function URL or Invoke has answered a request."""

    def webhook_delivered(self, delivery: Delivery) -> None:
        """Momento has called the webhook for a message, or could not."""


class LocalStack:
    """An async context manager: inside, everything runs, and `facts` says where.

    Several may run at once, each with a state directory of its own; the usual ports go to the first.
    """

    def __init__(
        self,
        state_directory: Path,
        observer: StackObserver | None = None,
        parameters: Mapping[str, str] | None = None,
        page_folder: Path = PAGE_FOLDER,
    ) -> None:
        """Keep logs and `stack.json` in `state_directory`.

        `parameters` are values of the template's parameters. `page_folder` is served where a page is in it.
        """
        self._state = StateDirectory(state_directory, PROFILE_FILES)
        self._observer = observer or StackObserver()
        self._parameters = parameters or {}
        self._page_folder = page_folder
        self._awaited: dict[str, asyncio.Future[Delivery]] = {}
        self._resources = contextlib.AsyncExitStack()
        self._aws: AwsServices
        self.facts: StackFacts

    async def __aenter__(self) -> Self:
        """Start everything.

        Raises StackRunningError, TemplateError, AwsServicesError, or OSError where a process or a port is
        refused; nothing stays running then.
        """
        async with contextlib.AsyncExitStack() as resources:
            state = resources.enter_context(self._state)
            began = time.monotonic()
            # The AWS services take longest, in a process of their own: the others start meanwhile.
            self._aws = await resources.enter_async_context(AwsServices(_AWS_PORT, self.logs / "aws.log"))
            momento = await self._start_momento(resources)
            template = await self._create_resources(momento)
            self._report("AWS services", self._aws.endpoint_url, _AWS_PORT, began)
            host = await self._start_functions(resources, template, momento)
            self.facts = await self._join(template, momento, host)
            if is_built(self._page_folder):
                self.facts = await self._start_page(resources, self.facts)
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
        """The folder of the logs: `<function>.log` each, and `aws.log`."""
        return self._state.logs

    def delivery_of(self, text: str) -> asyncio.Future[Delivery]:
        """Return a future of what becomes of the next message with this text, on its way to the webhook."""
        self._awaited[text] = asyncio.get_running_loop().create_future()
        return self._awaited[text]

    async def ended(self) -> None:
        """Wait until a part of the stack has ended by itself, which none does unless something is wrong."""
        await self._aws.ended()

    async def _start_momento(self, resources: contextlib.AsyncExitStack) -> MomentoServer:
        began = time.monotonic()
        config = _MOMENTO
        while True:  # At most once for each port: gRPC takes no socket, so `listen` is of no use here.
            try:
                momento = await resources.enter_async_context(
                    MomentoServer(config, on_delivery=self._delivered)
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

    async def _create_resources(self, momento: MomentoServer) -> Template:
        given_by_the_stack = {"MomentoApiKey": momento.api_key, "MomentoEndpoint": HOST}
        if refused := sorted(given_by_the_stack.keys() & self._parameters.keys()):
            raise TemplateError(f"{' and '.join(refused)} cannot be chosen: the stack has its own Momento.")
        defaults = {"TokenIdClaim": "cognito:username", "AllowedOrigins": "*"}
        template = Template.load(
            ROOT / "template.yaml", {**defaults, **self._parameters, **given_by_the_stack}
        )
        template = await self._aws.create_resources(template)
        await self._aws.create_users(_only(template, "AWS::Cognito::UserPool"), USERS)
        return template

    async def _start_functions(
        self, resources: contextlib.AsyncExitStack, template: Template, momento: MomentoServer
    ) -> LambdaHost:
        began = time.monotonic()
        user_pool = _only(template, "AWS::Cognito::UserPool")
        issuer = template.resolve(
            {"Fn::Sub": f"https://cognito-idp.${{AWS::Region}}.${{AWS::URLSuffix}}/{user_pool}"}
        )
        host = await resources.enter_async_context(
            LambdaHost(
                template,
                ROOT,
                environment=_endpoints(HOST, momento.port, port_in(self._aws.endpoint_url)),
                assume_role=self._aws.assume_role,
                jwks_urls={issuer: f"{self._aws.endpoint_url}/{user_pool}/.well-known/jwks.json"},
                log_folder=self.logs,
                ports=_LAMBDA_PORTS,
                on_log_line=self._observer.function_logged,
                on_request=self._observer.request_answered,
            )
        )
        if not host.function_url:
            raise TemplateError(
                "The local stack needs a function with a FunctionUrlConfig in the template: "
                "Momento calls it for every message."
            )
        self._report("Token API", host.http_api_url, _LAMBDA_PORTS.http_api, began)
        self._report("Lambda", host.invoke_url, _LAMBDA_PORTS.invoke_api, began)
        self._report("Webhook", host.function_url, _LAMBDA_PORTS.function_url, began)
        return host

    async def _join(self, template: Template, momento: MomentoServer, host: LambdaHost) -> StackFacts:
        """Attach the webhook to the topic, and return the facts about the stack."""
        cache = template.resolve({"Ref": "CacheName"})
        topic = template.resolve({"Ref": "TopicName"})
        signing_secret = await self._aws.secret(template.resolve({"Ref": "SigningSecret"}))
        webhook_url = f"{host.function_url}/"
        momento.add_webhook(WebhookSubscription(cache, topic, webhook_url, signing_secret))
        return StackFacts(
            momento=MomentoFacts(HOST, momento.port, momento.web_url, momento.admin_url, momento.api_key),
            token_url=f"{host.http_api_url}/token",
            webhook_url=webhook_url,
            lambda_url=host.invoke_url,
            aws_endpoint_url=self._aws.endpoint_url,
            web_url=None,
            cache=cache,
            topic=topic,
            user_pool_id=_only(template, "AWS::Cognito::UserPool"),
            user_pool_client_id=_only(template, "AWS::Cognito::UserPoolClient"),
            users=USERS,
            signing_secret=signing_secret,
        )

    async def _start_page(self, resources: contextlib.AsyncExitStack, facts: StackFacts) -> StackFacts:
        """Serve the page, and return the facts with its address."""
        began = time.monotonic()
        url = await resources.enter_async_context(
            web_page(self._page_folder, page_configuration(facts), _PAGE_PORT)
        )
        self._report("Page", url, _PAGE_PORT, began)
        return replace(facts, web_url=url)

    async def _open_to_containers(
        self, resources: contextlib.AsyncExitStack, template: Template, momento: MomentoServer
    ) -> dict[str, str]:
        """Let containers use the stack, and return the files that tell SAM's commands how."""
        aws_port = port_in(self._aws.endpoint_url)
        if bridge := docker_bridge():
            try:
                await resources.enter_async_context(container_access(bridge, [momento.port, aws_port]))
            except OSError as error:
                self._observer.closed_to_containers(str(error))
        environment = _endpoints(CONTAINER_HOST, momento.port, aws_port)
        return profile_files(declared_functions(template, ROOT, environment))

    def _report(self, name: str, where: str, preferred_port: int, began: float) -> None:
        self._observer.part_started(name, where, time.monotonic() - began)
        self._report_port(name, where, preferred_port)

    def _report_port(self, name: str, where: str, preferred_port: int) -> None:
        port = port_in(where)
        if port != preferred_port:
            self._observer.port_taken(name, preferred_port, port)

    def _delivered(self, delivery: Delivery) -> None:
        self._observer.webhook_delivered(delivery)
        awaited = self._awaited.pop(delivery.text, None)
        if awaited and not awaited.done():  # Whoever waited may have given up.
            awaited.set_result(delivery)


def _endpoints(host: str, momento_port: int, aws_port: int) -> dict[str, str]:
    """Return the environment that has functions use the stack, which they reach at `host`."""
    return {"AWS_ENDPOINT_URL": f"http://{host}:{aws_port}", "MOMENTO_LOCAL": f"{host}:{momento_port}"}


def _only(template: Template, resource_type: str) -> str:
    """Return what `Ref` gives of the one resource of a type."""
    try:
        [name] = template.resources(resource_type)
    except ValueError:
        raise TemplateError(f"The local stack needs exactly one {resource_type} in the template.") from None
    return template.attributes[name]
