"""The files of the running stack that samconfig.toml passes to SAM's local commands."""

import json
import platform
from collections.abc import Mapping

from local.lambda_host.declaration import FunctionConfiguration

_ENVIRONMENT = "sam-environment.json"
_PARAMETERS = "sam-parameters.toml"
PROFILE_FILES = (_ENVIRONMENT, _PARAMETERS)


def host_architecture() -> str:
    """Return this machine's architecture in Lambda's terms: x86_64 or arm64."""
    return {"aarch64": "arm64", "AMD64": "x86_64"}.get(machine := platform.machine(), machine)


def profile_files(functions: Mapping[str, FunctionConfiguration]) -> dict[str, str]:
    """Return the files by name: the environments of `functions`, and the parameters of a local build.

    SAM sets only variables that the template declares.
    """
    environments = {name: dict(function.environment) for name, function in functions.items()}
    return {
        _ENVIRONMENT: json.dumps(environments, indent=2) + "\n",
        _PARAMETERS: f'Architecture = "{host_architecture()}"\n',
    }
