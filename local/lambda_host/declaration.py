"""The template's functions and their events, as dataclasses for the Lambda host."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.cloudformation.parameters import text_of
from local.cloudformation.template import ACCOUNT_ID, REGION, Template, TemplateError

LATEST = "$LATEST"
"""The unpublished version of a function."""

_FIRST_VERSION = "1"
_LAMBDA_DEFAULT_TIMEOUT = 3
_LAMBDA_DEFAULT_MEMORY_SIZE = 128
# The default quotas of an account, for all its APIs together.
_ACCOUNT_RATE_LIMIT = 10_000
_ACCOUNT_BURST_LIMIT = 5_000
_DEFAULT_BATCH_SIZE = 10
# Lambda starts with this many concurrent batches of a queue, and adds more later.
_INITIAL_BATCHES = 5
_RATE = re.compile(r"rate\((?P<value>[1-9]\d*) (?P<unit>minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}


@dataclass(frozen=True)
class FunctionConfiguration:
    """A function: `timeout` in seconds, `memory_size` in MB, and `code`, the folder with its handler.

    `role` is the ARN of its role. `alias` is the alias that each deployment publishes and that events invoke.
    `reserved_concurrency` is the maximum number of concurrent invocations. Each is None if not declared.
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
        """Return the version that each qualifier invokes. The alias is version 1, as after one deployment."""
        versions: dict[str | None, str] = {None: LATEST, LATEST: LATEST}
        if self.alias:
            versions |= {self.alias: _FIRST_VERSION, _FIRST_VERSION: _FIRST_VERSION}
        return versions


@dataclass(frozen=True)
class QueueMapping:
    """An event source mapping: it invokes a function with batches of messages of a queue (an ARN).

    `max_concurrency` is the maximum number of concurrent batches. With `reports_failures`, the function
    returns the messages of its batch that failed.
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
    """The issuer and the audience of the tokens that an API accepts."""

    issuer: str
    audience: frozenset[str]


@dataclass(frozen=True)
class Throttle:
    """The requests per second that an API accepts on average, and those that it accepts at once."""

    rate: float
    burst: int


@dataclass(frozen=True)
class CorsConfiguration:
    """The CORS settings of an API. `max_age` is in seconds, or None for the browser's default."""

    allow_origins: tuple[str, ...]
    allow_methods: tuple[str, ...]
    allow_headers: tuple[str, ...]
    expose_headers: tuple[str, ...]
    max_age: int | None
    allow_credentials: bool


@dataclass(frozen=True)
class Route:
    """A route of the HTTP API, its function, its authorizer and its throttle."""

    method: str
    path: str
    function: str
    authorizer: JwtConfiguration | None
    throttle: Throttle | None

    @property
    def key(self) -> str:
        """Return the route key, as in events."""
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

    `environment` is added to each function's variables, and overrides those of the template.
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
                reserved_concurrency=_optional_int(
                    template.resolve(properties.get("ReservedConcurrentExecutions"))
                ),
                alias=template.resolve(properties.get("AutoPublishAlias")),
            )
    return functions


def declared_http_api(template: Template) -> HttpApiConfiguration:
    """Return the template's HTTP API, with a route for each `HttpApi` event of its functions."""
    apis = template.resources("AWS::Serverless::HttpApi")
    if len(apis) > 1:
        raise TemplateError("The local stack supports only one HTTP API, but the template has more.")
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
                raise TemplateError(f"The local stack supports only fixed routes, not {method} {path}.")
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
                    max_concurrency=int(scaling.get("MaximumConcurrency", _INITIAL_BATCHES)),
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
                raise TemplateError(f"The local stack supports only rate schedules, not {expression}.")
            seconds = int(rate["value"]) * _SECONDS[rate["unit"]]
            # The default is SAM's name for the schedule.
            name = properties.get("Name", f"{event.function}{event.name}")
            schedules.append(Schedule(name, event.function, seconds))
    return schedules


def function_with_url(template: Template) -> str | None:
    """Return the logical id of the function with a function URL, or None."""
    functions = [
        name
        for name, properties in template.resources("AWS::Serverless::Function").items()
        if template.resolve(properties.get("FunctionUrlConfig"))
    ]
    if len(functions) > 1:
        raise TemplateError(
            f"The local stack supports only one function URL, not those of {', '.join(functions)}."
        )
    return functions[0] if functions else None


def with_function_url(template: Template, url: str) -> Template:
    """Return `template` with the function URL, under the name that SAM gives its resource."""
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
    """Yield the events of a type of all functions, with unresolved properties."""
    for function, properties in template.resources("AWS::Serverless::Function").items():
        for name, declared in (properties.get("Events") or {}).items():
            with _reading(f"{function}, event {name}"):
                matches = declared["Type"] == event_type
            if matches:
                yield _Event(function, name, declared.get("Properties") or {})


def _optional_int(value: Any) -> int | None:
    return None if value is None else int(value)


@contextmanager
def _reading(place: str) -> Iterator[None]:
    """Raise TemplateError with `place` if a value of the template is missing or malformed."""
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
