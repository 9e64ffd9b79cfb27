"""The boto3 session that all clients of AWS services share, so that shared data is loaded once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.loaders import Loader

if TYPE_CHECKING:
    from typing import Any


class _QuickLoader(Loader):
    """Load what botocore needs to call a service, and skip two slow steps that no call depends on."""

    def list_available_services(self, type_name: str) -> list[str]:
        """Return the services by the names of their folders; botocore would also look into each of them."""
        if type_name == "resources-1":
            services: list[str] = super().list_available_services(type_name)
            return services
        folders = [Path(path) for path in self.search_paths if Path(path).is_dir()]
        return sorted({service.name for folder in folders for service in folder.iterdir()})

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """Skip `endpoints.json`: botocore resolves endpoints from each service's rule set."""
        if name == "endpoints":
            return {"partitions": []}, self.BUILTIN_DATA_PATH
        loaded: tuple[Any, str] = super().load_data_with_path(name)
        return loaded


def _new_session() -> boto3.Session:
    session: Any = botocore.session.get_session()
    session.register_component("data_loader", _QuickLoader(session.get_config_variable("data_path")))
    return boto3.Session(botocore_session=session)


aws_session = _new_session()
