"""Run the SAM CLI on a copy of the project, without the developer's AWS account and settings."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from local.cloudformation.template import REGION
from tests.support.project import ROOT
from tests.support.sam_cli import SamCli


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> SamCli:
    settings = tmp_path_factory.mktemp("sam")
    # Otherwise, SAM looks for a newer version online.
    (settings / "metadata.json").write_text(json.dumps({"lastVersionCheck": time.time()}))
    binaries = Path(sys.executable).parent
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_"))}
    return SamCli(
        binaries / "sam",
        {
            **inherited,
            "PATH": f"{binaries}:{inherited['PATH']}",
            "__SAM_CLI_APP_DIR": str(settings),
            "SAM_CLI_TELEMETRY": "0",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        },
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the part of the project that SAM needs, and return the folder."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("template.yaml", "samconfig.toml"):
        shutil.copy(ROOT / name, folder)
    return folder
