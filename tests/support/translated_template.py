"""template.yaml as SAM translates it for CloudFormation."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader

from local.cloudformation.template import REGION, Template
from tests.support.project import ROOT

PUBLISHED = ("TokenVendorFunction", "PublisherFunction", "WebhookFunction")


ALARM = "AWS::CloudWatch::Alarm"


OTHERS = {
    "MomentoApiKey": "key",
    "JwtAudience": "one,two",
    "AllowedOrigins": "https://one.example.com,https://two.example.com",
}


@functools.cache
def _source() -> Any:
    return yaml_parse((ROOT / "template.yaml").read_text())


class ExistingResources(dict[str, str]):
    """A value for each `Ref` and `Fn::GetAtt` of a resource that exists."""

    def __missing__(self, attribute: str) -> str:
        if attribute.partition(".")[0] in self:
            return attribute
        raise KeyError(attribute)


class TranslatedTemplate:
    """The translated template with values of its parameters."""

    def __init__(self, folder: Path, overrides: Mapping[str, str]) -> None:
        parameters = Template.load(ROOT / "template.yaml", overrides).parameters
        translation = SamTemplateValidator(
            copy.deepcopy(_source()),  # The translation changes it.
            ManagedPolicyLoader(None),  # No function uses a managed policy of AWS.
            region=REGION,
            parameter_overrides=dict(parameters),
        )
        self.path = folder / "translated.yaml"
        self.path.write_text(translation.get_translated_template_if_valid())
        template = Template.load(self.path, overrides)
        self.conditions = {name: template.condition(name) for name in template.document["Conditions"]}
        self.parameter_declarations: Mapping[str, Any] = template.document["Parameters"]
        self.resources = self._existing(template.document["Resources"])
        self._outputs = self._existing(template.document["Outputs"])
        attributes = ExistingResources({logical_id: logical_id for logical_id in self.resources})
        self._template = Template(template.document, template.parameters, attributes)

    def names(self, resource_type: str) -> set[str]:
        """Return the logical ids of the resources of a type that exist."""
        return {name for name, resource in self.resources.items() if resource["Type"] == resource_type}

    def properties(self, logical_id: str) -> Any:
        """Return a resource's properties. Raise TemplateError for a reference to a missing resource."""
        return self._template.resolve(self.resources[logical_id].get("Properties"))

    def outputs(self) -> dict[str, Any]:
        """Return the outputs. Raise TemplateError if one refers to a resource that does not exist."""
        return {name: self._template.resolve(output["Value"]) for name, output in self._outputs.items()}

    def _existing(self, section: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: declared
            for name, declared in section.items()
            if "Condition" not in declared or self.conditions[declared["Condition"]]
        }
