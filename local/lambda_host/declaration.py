"""What the template declares of its functions and of the ways to call them, as the host needs it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.cloudformation.parameters import text_of
from local.cloudformation.template import ACCOUNT_ID, REGION, Template, TemplateError

LATEST = "$LATEST"
"""The version of a function that has not been published."""

_FIRST_VERSION = "1"
_LAMBDA_DEFAULT_TIMEOUT = 3
_LAMBDA_DEFAULT_MEMORY_SIZE = 128
# What an account has, of all its APIs together.
_ACCOUNT_RATE_LIMIT = 10_000
_ACCOUNT_BURST_LIMIT = 5_000
_DEFAULT_BATCH_SIZE = 10
# Lambda starts with so many batches of a queue at once, and takes more as they go well.
_BATCHES_AT_FIRST = 5
_RATE = re.compile(r"rate\((?P<value>[1-9]\d*) (?P<unit>minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}


@dataclass(frozen=True)
class FunctionConfiguration:
    """A function: `timeout` in seconds, `memory_size` in MB, `code` the folder that contains its handler.

    `role` is the ARN of its role. `alias` is published with each deployment, and events invoke it.
    `reserved_concurrency` is how many invocations may run at once. Each is None where none is declared.
    """

    name: str
    handler: str
    timeout: float
    memory_size: int
    environment: Mapping[str, str]
    code: Path
    role: str | None
    reserved_concurrency: int | None
    alias: str | None = None

    def arn(self, qualifier: str | None = None) -> str:
        """Return the ARN of the function, or of its version or alias `qualifier`."""
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{self.name}"
        return arn if qualifier is None else f"{arn}:{qualifier}"

    @property
    def versions(self) -> Mapping[str | None, str]:
        """The version that each qualifier invokes. As after one deployment, the alias is version 1."""
        versions: dict[str | None, str] = {None: LATEST, LATEST: LATEST}
        if self.alias:
            versions |= {self.alias: _FIRST_VERSION, _FIRST_VERSION: _FIRST_VERSION}
        return versions


@dataclass(frozen=True)
class QueueMapping:
    """A queue, by its ARN, whose messages a function is invoked with: so many at once, in so many batches.

    With `reports_failures`, what the function returns says which messages of its batch have failed.
    """

    function: str
    queue: str
    batch_size: int
    max_concurrency: int
    reports_failures: bool


@dataclass(frozen=True)
class Schedule:
    """A schedule that invokes a function every `seconds`."""

    name: str
    function: str
    seconds: float


@dataclass(frozen=True)
class JwtConfiguration:
    """Whose tokens an API accepts (`issuer`), and for which clients (`audience`)."""

    issuer: str
    audience: frozenset[str]


@dataclass(frozen=True)
class Throttle:
    """Requests accepted a second, and at once."""

    rate: float
    burst: int


@dataclass(frozen=True)
class CorsConfiguration:
    """Which pages may call an API, and how; `max_age` in seconds, None where the browser decides."""

    allow_origins: tuple[str, ...]
    allow_methods: tuple[str, ...]
    allow_headers: tuple[str, ...]
    expose_headers: tuple[str, ...]
    max_age: int | None
    allow_credentials: bool


@dataclass(frozen=True)
class Route:
    """A route of the HTTP API, the function that it invokes, and who may."""

    method: str
    path: str
    function: str
    authorizer: JwtConfiguration | None
    throttle: Throttle | None

    @property
    def key(self) -> str:
        """The route key, as events carry it."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class HttpApiConfiguration:
    """The HTTP API with all its routes."""

    routes: tuple[Route, ...]
    cors: CorsConfiguration | None


def declared_functions(
    template: Template, template_folder: Path, environment: Mapping[str, str]
) -> dict[str, FunctionConfiguration]:
    """Return the template's functions by logical id.

    `environment` is set in each of them, besides the variables that the template declares or in their place.
    """
    functions = {}
    for name, properties in template.resources("AWS::Serverless::Function").items():
        with _reading(name):
            variables = template.resolve((properties.get("Environment") or {}).get("Variables") or {})
            functions[name] = FunctionConfiguration(
                name=name,
                handler=template.resolve(properties["Handler"]),
                timeout=float(template.resolve(properties.get("Timeout", _LAMBDA_DEFAULT_TIMEOUT))),
                memory_size=int(template.resolve(properties.get("MemorySize", _LAMBDA_DEFAULT_MEMORY_SIZE))),
                environment={**{key: text_of(value) for key, value in variables.items()}, **environment},
                code=(template_folder / template.resolve(properties["CodeUri"])).resolve(),
                role=template.resolve(properties.get("Role")),
                reserved_concurrency=_count(template.resolve(properties.get("ReservedConcurrentExecutions"))),
                alias=template.resolve(properties.get("AutoPublishAlias")),
            )
    return functions


def declared_http_api(template: Template) -> HttpApiConfiguration:
    """Return the template's HTTP API, with a route for each `HttpApi` event of its functions."""
    apis = template.resources("AWS::Serverless::HttpApi")
    if len(apis) > 1:
        raise TemplateError("The local stack serves one HTTP API, and the template has more.")
    name, api = next(iter(apis.items()), ("", {}))
    with _reading(name):
        default_throttle = _throttle(template.resolve(api.get("DefaultRouteSettings")))
        throttles = {
            key: _throttle(settings)
            for key, settings in template.resolve(api.get("RouteSettings") or {}).items()
        }
        cors = _cors(template.resolve(api.get("CorsConfiguration")))
    routes = []
    for event in _events(template, "HttpApi"):
        with _reading(event.place):
            method, path = event.properties["Method"].upper(), event.properties["Path"]
            if "{" in path or method == "ANY":
                raise TemplateError(f"The local stack serves plain routes only, not {method} {path}.")
            authorizer = _authorizer(template, api, event.properties)
            throttle = throttles.get(f"{method} {path}", default_throttle)
            routes.append(Route(method, path, event.function, authorizer, throttle))
    return HttpApiConfiguration(tuple(routes), cors)


def declared_queue_mappings(template: Template) -> list[QueueMapping]:
    """Return the `SQS` events of the template's functions."""
    mappings = []
    for event in _events(template, "SQS"):
        with _reading(event.place):
            properties = template.resolve(event.properties)
            scaling = properties.get("ScalingConfig") or {}
            mappings.append(
                QueueMapping(
                    function=event.function,
                    queue=properties["Queue"],
                    batch_size=int(properties.get("BatchSize", _DEFAULT_BATCH_SIZE)),
                    max_concurrency=int(scaling.get("MaximumConcurrency", _BATCHES_AT_FIRST)),
                    reports_failures="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
                )
            )
    return mappings


def declared_schedules(template: Template) -> list[Schedule]:
    """Return the `ScheduleV2` events of the template's functions."""
    schedules = []
    for event in _events(template, "ScheduleV2"):
        with _reading(event.place):
            properties = template.resolve(event.properties)
            rate = _RATE.fullmatch(expression := properties["ScheduleExpression"])
            if not rate:
                raise TemplateError(f"The local stack knows rates only, not {expression}.")
            seconds = int(rate["value"]) * _SECONDS[rate["unit"]]
            # SAM's name of the schedule that it makes.
            name = properties.get("Name", f"{event.function}{event.name}")
            schedules.append(Schedule(name, event.function, seconds))
    return schedules


def function_with_url(template: Template) -> str | None:
    """Return the logical id of the function that has a URL; None where none has."""
    functions = [
        name
        for name, properties in template.resources("AWS::Serverless::Function").items()
        if template.resolve(properties.get("FunctionUrlConfig"))
    ]
    if len(functions) > 1:
        raise TemplateError(f"The local stack serves one function URL, not those of {', '.join(functions)}.")
    return functions[0] if functions else None


def with_function_url(template: Template, url: str) -> Template:
    """Return `template` knowing the URL of the function that has one, by the name SAM gives the resource."""
    return template.with_attributes({f"{function_with_url(template)}Url.FunctionUrl": f"{url}/"})


@dataclass(frozen=True)
class _Event:
    function: str
    name: str
    properties: Mapping[str, Any]

    @property
    def place(self) -> str:
        return f"{self.function}, event {self.name}"


def _events(template: Template, event_type: str) -> Iterator[_Event]:
    """Yield the events of a type of all functions, with their properties unresolved."""
    for function, properties in template.resources("AWS::Serverless::Function").items():
        for name, declared in (properties.get("Events") or {}).items():
            with _reading(f"{function}, event {name}"):
                matches = declared["Type"] == event_type
            if matches:
                yield _Event(function, name, declared.get("Properties") or {})


def _count(value: Any) -> int | None:
    return None if value is None else int(value)


@contextmanager
def _reading(place: str) -> Iterator[None]:
    """Say of what is missing or malformed in which place of the template it is so."""
    try:
        yield
    except KeyError as error:
        raise TemplateError(f"{place} in the template has no {error.args[0]}.") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise TemplateError(f"{place} in the template is malformed: {error}.") from error


def _authorizer(
    template: Template, api: Mapping[str, Any], event: Mapping[str, Any]
) -> JwtConfiguration | None:
    auth = api.get("Auth") or {}
    name = (event.get("Auth") or {}).get("Authorizer", auth.get("DefaultAuthorizer"))
    if name is None or name == "NONE":
        return None
    configuration = template.resolve(auth["Authorizers"][name]["JwtConfiguration"])
    return JwtConfiguration(configuration["issuer"], frozenset(configuration["audience"]))


def _throttle(settings: Mapping[str, Any] | None) -> Throttle | None:
    if settings is None:
        return None
    return Throttle(
        float(settings.get("ThrottlingRateLimit", _ACCOUNT_RATE_LIMIT)),
        int(settings.get("ThrottlingBurstLimit", _ACCOUNT_BURST_LIMIT)),
    )


def _cors(configuration: Mapping[str, Any] | None) -> CorsConfiguration | None:
    if configuration is None:
        return None

    def items(name: str) -> tuple[str, ...]:
        return tuple(configuration.get(name) or ())

    max_age = configuration.get("MaxAge")
    return CorsConfiguration(
        allow_origins=items("AllowOrigins"),
        allow_methods=items("AllowMethods"),
        allow_headers=items("AllowHeaders"),
        expose_headers=items("ExposeHeaders"),
        max_age=None if max_age is None else int(max_age),
        allow_credentials=text_of(configuration.get("AllowCredentials", False)) == "true",
    )
