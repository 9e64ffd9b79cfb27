"""The files of the running stack that samconfig.toml passes to SAM's local commands."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path

from local.cloudformation.template import Template
from local.lambda_host.declaration import FunctionConfiguration

ENVIRONMENT_FILE = "sam-environment.json"
_PARAMETERS = "sam-parameters.toml"
PROFILE_FILES = (ENVIRONMENT_FILE, _PARAMETERS)


def host_architecture() -> str:
    """Return this machine's architecture in Lambda's terms: x86_64 or arm64."""
    return {"aarch64": "arm64", "AMD64": "x86_64"}.get(machine := platform.machine(), machine)


def functions_runtime() -> str:
    """Return the runtime of all functions in the template, such as `python3.13`."""
    template = Template.load(Path(__file__).parents[2] / "template.yaml", {"MomentoApiKey": "unused"})
    [runtime] = {function["Runtime"] for function in template.resources("AWS::Serverless::Function").values()}
    return str(runtime)


def profile_files(functions: Mapping[str, FunctionConfiguration]) -> dict[str, str]:
    """Return the files by name: the environments of `functions`, and the parameters of a local build.

    SAM sets only variables that the template declares.
    """
    environments = {name: dict(function.environment) for name, function in functions.items()}
    return {
        ENVIRONMENT_FILE: json.dumps(environments, indent=2) + "\n",
        _PARAMETERS: f'Architecture = "{host_architecture()}"\n',
    }
