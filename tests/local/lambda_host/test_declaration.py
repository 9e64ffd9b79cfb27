"""What the host reads in a template, and what it says where something is missing there."""

from pathlib import Path

import pytest

from local.cloudformation.template import Template, TemplateError
from local.lambda_host.declaration import Throttle, declared_http_api
from local.lambda_host.host import LambdaHost
from tests.support.lambda_host import FOLDER, assume_role


def _template(folder: Path, old: str, new: str) -> Template:
    """Return the template of this folder with something else in it."""
    text = (FOLDER / "template.yaml").read_text()
    assert old in text
    (folder / "template.yaml").write_text(text.replace(old, new, 1))
    return Template.load(folder / "template.yaml", {"Issuer": "https://issuer.test"})


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("      Handler: handlers.echo\n", "", "EchoFunction in the template has no Handler"),
        ("    CodeUri: functions/\n", "", "EchoFunction in the template has no CodeUri"),
        ("Timeout: 20", "Timeout: long", "EchoFunction in the template is malformed"),
        (", Path: /token", "", "EchoFunction, event PostToken in the template has no Path"),
        ("Method: POST, ", "", "EchoFunction, event PostToken in the template has no Method"),
        ("Type: HttpApi", "Kind: HttpApi", "EchoFunction, event PostToken in the template has no Type"),
        ("DefaultAuthorizer: Jwt", "DefaultAuthorizer: Jtw", "event PostToken in the template has no Jtw"),
        ("ThrottlingRateLimit: 10,", "ThrottlingRateLimit: few,", "Api in the template is malformed"),
        ("AllowMethods: [POST]", "AllowMethods: 5", "Api in the template is malformed"),
    ],
)
async def test_names_the_place_of_a_missing_or_malformed_value(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    template = _template(tmp_path, old, new)
    host = LambdaHost(
        template,
        FOLDER,
        environment={},
        aws_endpoint_url="",
        assume_role=assume_role,
        jwks_urls={},
        log_folder=tmp_path,
    )
    with pytest.raises(TemplateError, match=complaint):
        await host.__aenter__()


@pytest.mark.parametrize(
    ("settings", "throttle"),
    [
        ("{ThrottlingBurstLimit: 1}", Throttle(10_000, 1)),
        ("{ThrottlingRateLimit: 1}", Throttle(1, 5_000)),
        ("{DetailedMetricsEnabled: true}", Throttle(10_000, 5_000)),
    ],
)
def test_a_route_without_limits_has_those_of_an_account(
    tmp_path: Path, settings: str, throttle: Throttle
) -> None:
    template = _template(tmp_path, "{ThrottlingRateLimit: 10, ThrottlingBurstLimit: 1}", settings)
    routes = declared_http_api(template).routes
    assert [route.throttle for route in routes if route.path == "/refilled"] == [throttle]
