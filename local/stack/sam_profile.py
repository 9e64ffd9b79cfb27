"""What samconfig.toml has SAM's local commands read of the running stack, so that they need no flags."""

import json
import platform
from collections.abc import Mapping

from local.lambda_host.declaration import FunctionConfiguration

_ENVIRONMENT = "sam-environment.json"
_PARAMETERS = "sam-parameters.toml"
PROFILE_FILES = (_ENVIRONMENT, _PARAMETERS)


def host_architecture() -> str:
    """Return this machine's processor, as Lambda calls it: x86_64 or arm64."""
    return {"aarch64": "arm64", "AMD64": "x86_64"}.get(machine := platform.machine(), machine)


def profile_files(functions: Mapping[str, FunctionConfiguration]) -> dict[str, str]:
    """Return the files, by name: `functions`' environments, and the parameters of a build for this machine.

    SAM sets only variables that the template declares.
    """
    environments = {name: dict(function.environment) for name, function in functions.items()}
    return {
        _ENVIRONMENT: json.dumps(environments, indent=2) + "\n",
        _PARAMETERS: f'Architecture = "{host_architecture()}"\n',
    }
