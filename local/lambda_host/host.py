"""Run the functions of a SAM template on this machine, with the servers and pollers that invoke them."""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from local.aws.credentials import LOCAL_CREDENTIALS
from local.cloudformation.template import Template
from local.lambda_host.declaration import (
    QueueMapping,
    declared_functions,
    declared_http_api,
    declared_queue_mappings,
    declared_schedules,
    function_with_url,
    with_function_url,
)
from local.lambda_host.execution_environment import AssumeRole
from local.lambda_host.function import Function
from local.lambda_host.function_url import FunctionUrl
from local.lambda_host.http_api import HttpApi
from local.lambda_host.invocation import InvocationResult
from local.lambda_host.invoke_api import InvokeApi
from local.lambda_host.issuer_keys import IssuerKeys
from local.lambda_host.jwt_authorizer import JwtAuthorizer
from local.lambda_host.proxy_integration import body_of
from local.lambda_host.queue import Queue
from local.lambda_host.queue_poller import QueuePoller
from local.lambda_host.scheduler import run_schedule
from local.serving.background import running
from local.serving.ports import HOST, listen, port_of

FUNCTION_URL = "function URL"
"""The name of that server in an AnsweredRequest."""

_MAX_CONCURRENCY = 10
_MAX_HEADER_BYTES = 1024 * 1024
_MAX_HEADERS = 10_000


@dataclass(frozen=True)
class Ports:
    """The preferred ports. 0 means any free port."""

    http_api: int = 0
    invoke_api: int = 0
    function_url: int = 0


@dataclass(frozen=True)
class AnsweredRequest:
    """A request that one of the host's servers answered. `body` is what a function got, or empty."""

    server: str
    method: str
    path: str
    body: bytes
    status: int
    milliseconds: float


class LambdaHost:
    """The template's functions, which the Invoke API, the HTTP API and a function URL invoke.

    The template's queues and schedules invoke them too. Use the host as an async context manager: its URLs
    are known and served inside.
    """

    def __init__(
        self,
        template: Template,
        template_folder: Path,
        *,
        environment: Mapping[str, str],
        aws_endpoint_url: str,
        assume_role: AssumeRole,
        jwks_urls: Mapping[str, str],
        log_folder: Path,
        ports: Ports = Ports(),
        max_concurrency: int = _MAX_CONCURRENCY,
        on_log_line: Callable[[str, str], None] = lambda _function, _line: None,
        on_request: Callable[[AnsweredRequest], None] = lambda _request: None,
    ) -> None:
        """Host the functions of `template`, whose paths are relative to `template_folder`.

        `environment` is added to each function's variables, and overrides those of the template.
        `aws_endpoint_url` serves the queues that the template maps to functions.
        `assume_role` returns the credentials of a function's role, for a session with the function's name.
        A function without a role gets LOCAL_CREDENTIALS.
        `jwks_urls` has the URLs of issuers' keys, by issuer. Other issuers need a discovery document.
        Each function's log goes to `<log_folder>/<logical id>.log`, which is emptied first, and line by line
        to `on_log_line(logical id, line)`.
        """
        self._template = template
        self._template_folder = template_folder
        self._environment = environment
        self._aws_endpoint_url = aws_endpoint_url
        self._assume_role = assume_role
        self._max_concurrency = max_concurrency
        self._jwks_urls = jwks_urls
        self._ports = ports
        self._log_folder = log_folder
        self._on_log_line = on_log_line
        self._on_request = on_request
        self._functions: dict[str, Function] = {}
        self._resources = contextlib.AsyncExitStack()
        self.http_api_url = ""
        self.invoke_url = ""
        self.function_url = ""

    async def __aenter__(self) -> Self:
        """Start serving. Raise TemplateError if the template has something that is not supported."""
        async with contextlib.AsyncExitStack() as resources:
            template = self._template
            if name := function_with_url(template):
                # The URL must be known first, because the functions' variables may contain it.
                sock = resources.enter_context(listen(self._ports.function_url))
                self.function_url = _url(sock)
                template = with_function_url(template, self.function_url)
            self._functions = {
                name: Function(configuration, self._max_concurrency, self._assume_role, self._log)
                for name, configuration in declared_functions(
                    template, self._template_folder, self._environment
                ).items()
            }
            self._log_folder.mkdir(parents=True, exist_ok=True)
            self._log_files = {
                name: resources.enter_context(
                    (self._log_folder / f"{name}.log").open("w", encoding="utf-8", buffering=1)
                )
                for name in self._functions
            }
            session = await resources.enter_async_context(aiohttp.ClientSession())
            http_api = self._http_api(template, session)
            self.http_api_url = await self._serve(
                resources, "HTTP API", http_api.application(), listen(self._ports.http_api)
            )
            invoke_api = InvokeApi(self._functions)
            self.invoke_url = await self._serve(
                resources, "Invoke", invoke_api.application(), listen(self._ports.invoke_api)
            )
            if name:
                function_url = FunctionUrl(self._functions[name])
                await self._serve(resources, FUNCTION_URL, function_url.application(), sock)
            # Runs before the servers stop, so that the requests they wait for are answered.
            resources.push_async_callback(self._stop_functions)
            for mapping in declared_queue_mappings(template):
                poller = await self._poller(mapping, session)
                await resources.enter_async_context(running(poller.poll()))
            for schedule in declared_schedules(template):
                function = self._functions[schedule.function]
                await resources.enter_async_context(running(run_schedule(schedule, function)))
            self._resources = resources.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop all processes and servers."""
        await self._resources.aclose()

    async def invoke(self, function: str, payload: bytes) -> InvocationResult:
        """Invoke a function by its logical id, as an event does. Raise ThrottledError."""
        invoked = self._functions[function]
        return await invoked.invoke(payload, qualifier=invoked.configuration.alias)

    def processes(self, function: str) -> list[int]:
        """Return the ids of a function's running processes."""
        return self._functions[function].processes

    def _http_api(self, template: Template, session: aiohttp.ClientSession) -> HttpApi:
        declared = declared_http_api(template)
        authorizers = {}
        for route in declared.routes:
            if route.authorizer and route.authorizer not in authorizers:
                issuer = route.authorizer.issuer
                keys = IssuerKeys(session, issuer, self._jwks_urls.get(issuer))
                authorizers[route.authorizer] = JwtAuthorizer(route.authorizer, keys)
        return HttpApi(declared, self._functions, authorizers)

    async def _poller(self, mapping: QueueMapping, session: aiohttp.ClientSession) -> QueuePoller:
        function = self._functions[mapping.function]
        role = function.configuration.role
        credentials = await self._assume_role(role, mapping.function) if role else LOCAL_CREDENTIALS
        queue = Queue(session, self._aws_endpoint_url, mapping.queue, credentials)
        poller = QueuePoller(mapping, function, queue)
        await poller.prepare()
        return poller

    async def _serve(
        self, resources: contextlib.AsyncExitStack, server: str, app: web.Application, sock: socket.socket
    ) -> str:
        @web.middleware
        async def report(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            began = time.monotonic()

            def answered(status: int) -> None:
                milliseconds = (time.monotonic() - began) * 1000
                self._on_request(
                    AnsweredRequest(
                        server, request.method, request.path, body_of(request), status, milliseconds
                    )
                )

            try:
                response = await handler(request)
            except web.HTTPException as error:
                answered(error.status)
                raise
            except Exception:
                answered(500)
                raise
            answered(response.status)
            return response

        app.middlewares.append(report)
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=_server_logger,
            shutdown_timeout=1.0,
            # Functions need the original bytes of a body to verify its signature.
            auto_decompress=False,
            # Large enough that each server itself can refuse long headers as AWS does.
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            max_headers=_MAX_HEADERS,
        )
        await runner.setup()
        resources.push_async_callback(runner.cleanup)
        await web.SockSite(runner, sock).start()
        return _url(sock)

    async def _stop_functions(self) -> None:
        await asyncio.gather(*(function.stop() for function in self._functions.values()))

    def _log(self, function: str, line: str) -> None:
        self._log_files[function].write(f"{line}\n")
        self._on_log_line(function, line)


def _leave_out_requests(record: logging.LogRecord) -> bool:
    """Remove a malformed request from a log record: it may contain a token."""
    if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
        record.exc_info = None
        record.msg, record.args = "Malformed HTTP request", ()
    return True


_server_logger = logging.getLogger(f"{__name__}.server")
_server_logger.addFilter(_leave_out_requests)


def _url(sock: socket.socket) -> str:
    return f"http://{HOST}:{port_of(sock)}"
