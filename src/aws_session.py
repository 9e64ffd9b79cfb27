"""The boto3 session that all clients of AWS services share: what it loads, it loads once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.loaders import Loader

if TYPE_CHECKING:
    from typing import Any


class _Loader(Loader):
    """Knows which services are used here, and no other's endpoints.

    Else botocore looks through the folders of all services, and reads where each of them is in each region:
    it takes longer than to load what is needed.
    """

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - as in botocore
        return ["dynamodb", "secretsmanager", "sqs"]

    def load_data_with_path(self, name: str) -> tuple[dict[str, Any], str]:
        """Of the endpoints, the partitions of AWS: each service's own rules say where it is in them."""
        if name != "endpoints":
            loaded: tuple[dict[str, Any], str] = super().load_data_with_path(name)
            return loaded
        data, path = super().load_data_with_path("partitions")
        return {"version": 3, "partitions": [_endpoints(partition) for partition in data["partitions"]]}, path


def _endpoints(partition: dict[str, Any]) -> dict[str, Any]:
    hostname = "{service}.{region}.{dnsSuffix}"
    variants = (["fips"], ["dualstack"], ["dualstack", "fips"])
    return {
        "partition": partition["id"],
        "dnsSuffix": partition["outputs"]["dnsSuffix"],
        "regionRegex": partition["regionRegex"],
        "regions": partition["regions"],
        "defaults": {
            "hostname": hostname,
            "protocols": ["https"],
            "signatureVersions": ["v4"],
            "variants": [{"tags": tags, "hostname": hostname} for tags in variants],
        },
        "services": {},
    }


def _new_session() -> boto3.Session:
    session: Any = botocore.session.get_session()
    session.register_component("data_loader", _Loader(session.get_config_variable("data_path")))
    return boto3.Session(botocore_session=session)


aws_session = _new_session()
