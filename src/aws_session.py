"""The boto3 session that all clients of AWS services share: what it loads, it loads once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.loaders import Loader

if TYPE_CHECKING:
    from typing import Any


class _Loader(Loader):
    """Knows only the services used here, and not where all of AWS's services are in each region.

    botocore would look for the ones and read the other, which takes longer than to load what is needed.
    """

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - as in botocore
        return ["dynamodb", "secretsmanager", "sqs"]

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """Of the endpoints nothing: where a service is say its own rules, which botocore asks in any case."""
        if name == "endpoints":
            return {"partitions": []}, self.BUILTIN_DATA_PATH
        loaded: tuple[Any, str] = super().load_data_with_path(name)
        return loaded


def _new_session() -> boto3.Session:
    session: Any = botocore.session.get_session()
    session.register_component("data_loader", _Loader(session.get_config_variable("data_path")))
    return boto3.Session(botocore_session=session)


aws_session = _new_session()
