"""What the template declares of its functions and of the ways to call them, as the host needs it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.template import Template, TemplateError, text_of

_LAMBDA_DEFAULT_TIMEOUT = 3
_LAMBDA_DEFAULT_MEMORY_SIZE = 128
# What an account has, of all its APIs together.
_ACCOUNT_RATE_LIMIT = 10_000
_ACCOUNT_BURST_LIMIT = 5_000


@dataclass(frozen=True)
class FunctionConfiguration:
    """A function: `timeout` in seconds, `memory_size` in MB, `code` the folder its handler is found in.

    `role` is the ARN of its role, None where the template declares none.
    """

    name: str
    handler: str
    timeout: float
    memory_size: int
    environment: Mapping[str, str]
    code: Path
    role: str | None


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
    for function, properties in template.resources("AWS::Serverless::Function").items():
        for event_name, event in (properties.get("Events") or {}).items():
            with _reading(f"{function}, event {event_name}"):
                if event["Type"] != "HttpApi":
                    continue
                method, path = event["Properties"]["Method"].upper(), event["Properties"]["Path"]
                if "{" in path or method == "ANY":
                    raise TemplateError(f"The local stack serves plain routes only, not {method} {path}.")
                authorizer = _authorizer(template, api, event["Properties"])
                throttle = throttles.get(f"{method} {path}", default_throttle)
                routes.append(Route(method, path, function, authorizer, throttle))
    return HttpApiConfiguration(tuple(routes), cors)


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
