"""Read a SAM template, and resolve the values that the local stack needs.

It supports parameters, pseudo parameters, rules, conditions, SAM's `Globals`, and the intrinsic functions
that template.yaml uses. It creates nothing: the identifiers of created resources are passed in as
`attributes`. Values are resolved on demand, so an unused property may refer to a resource that the local
stack does not create.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, cast

import yaml

try:
    from yaml import CSafeLoader as SafeLoader  # Ten times as fast.
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

from local.cloudformation.parameters import ParameterError, parameter_values, text_of

REGION = "us-east-1"
ACCOUNT_ID = "123456789012"

_NO_VALUE = object()
_PSEUDO_PARAMETERS: Mapping[str, Any] = {
    "AWS::AccountId": ACCOUNT_ID,
    "AWS::NoValue": _NO_VALUE,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "local",
    "AWS::URLSuffix": "amazonaws.com",
}
_SUB_VARIABLE = re.compile(r"\$\{(!?)([^}]*)\}")


class TemplateError(Exception):
    """The template or a parameter is wrong. The message says where and what to do."""


@dataclass(frozen=True)
class Template:
    """A parsed template, with its parameters and the attributes of the resources created so far.

    `attributes` maps `LogicalId` to the value of `Ref`, and `LogicalId.Attribute` to that of `Fn::GetAtt`.
    """

    document: Mapping[str, Any]
    parameters: Mapping[str, str | list[str]]
    attributes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, overrides: Mapping[str, str], unchecked: Collection[str] = ()) -> Self:
        """Read the template at `path`. `overrides` are values of its parameters.

        Raise TemplateError, with CloudFormation's message, if CloudFormation would refuse the values.
        Parameters in `unchecked` may have any value.
        """
        try:
            document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
        except (OSError, yaml.YAMLError) as error:
            raise TemplateError(f"Cannot read the template {path}: {error}") from error
        if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
            raise TemplateError(f"{path} is not a template: it has no Resources.")
        try:
            values = parameter_values(document.get("Parameters") or {}, overrides, unchecked)
        except ParameterError as error:
            raise TemplateError(str(error)) from error
        template = cls(document, values)
        template._check_rules()
        return template

    def with_attributes(self, attributes: Mapping[str, str]) -> Self:
        """Return this template with more attributes for `Ref` and `Fn::GetAtt`."""
        return replace(self, attributes={**self.attributes, **attributes})

    def resources(self, resource_type: str) -> dict[str, dict[str, Any]]:
        """Return the unresolved properties of the resources of a type, by logical id.

        Resources whose condition is false are left out. SAM's `Globals` are merged in as SAM does: maps are
        merged, lists are appended, other values are replaced.
        """
        section = resource_type.rpartition("::")[2]
        globals_ = (self.document.get("Globals") or {}).get(section) or {}
        return {
            logical_id: cast("dict[str, Any]", _merged(globals_, resource.get("Properties") or {}))
            for logical_id, resource in self.document["Resources"].items()
            if resource.get("Type") == resource_type and self._exists(resource)
        }

    def resolve(self, value: Any) -> Any:
        """Return `value` with its intrinsic functions resolved.

        A property or list item whose value is `AWS::NoValue` is removed.
        """
        resolved = self._resolve(value)
        return None if resolved is _NO_VALUE else resolved

    def condition(self, name: str) -> bool:
        """Return whether the named condition is true."""
        try:
            expression = self.document["Conditions"][name]
        except KeyError:
            raise TemplateError(f"The template has no condition {name!r}.") from None
        return self._holds(expression)

    def _check_rules(self) -> None:
        """Raise TemplateError if the parameters' values break a rule of the template."""
        for name, rule in (self.document.get("Rules") or {}).items():
            if "RuleCondition" in rule and not self._holds(rule["RuleCondition"]):
                continue
            for assertion in rule["Assertions"]:
                if not self._holds(assertion["Assert"]):
                    description = assertion.get("AssertDescription", "an assertion is false")
                    raise TemplateError(f"Template rule {name} is not satisfied: {description}")

    def _exists(self, resource: Mapping[str, Any]) -> bool:
        return "Condition" not in resource or self.condition(resource["Condition"])

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [item for item in map(self._resolve, value) if item is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if _is_function(name):
                try:
                    return self._call(name, argument)
                except (AttributeError, TypeError, ValueError) as error:
                    raise TemplateError(f"{name} has an invalid argument: {argument}.") from error
        resolved = {key: self._resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not _NO_VALUE}

    def _call(self, name: str, argument: Any) -> Any:
        match name:
            case "Ref":
                return self._ref(argument)
            case "Fn::GetAtt":
                return self._attribute(argument if isinstance(argument, str) else ".".join(argument))
            case "Fn::Sub":
                return self._sub(argument)
            case "Fn::If":
                condition, then, otherwise = argument
                return self._resolve(then if self.condition(condition) else otherwise)
            case "Fn::Join":
                separator, items = argument
                return separator.join(text_of(item) for item in self._resolve(items))
            case "Fn::Split":
                separator, text = argument
                return self._resolve(text).split(separator)
            case _:
                raise TemplateError(
                    f"The local stack does not support {name}: add it to local/cloudformation/template.py."
                )

    def _ref(self, name: str) -> Any:
        if name in self.parameters:
            return self.parameters[name]
        if name in _PSEUDO_PARAMETERS:
            return _PSEUDO_PARAMETERS[name]
        return self._attribute(name)

    def _attribute(self, name: str) -> str:
        try:
            return self.attributes[name]
        except KeyError:
            raise TemplateError(
                f"The template refers to {name}, which the local stack does not create: "
                "create it in local/aws/services.py, or correct the name."
            ) from None

    def _sub(self, argument: Any) -> str:
        text, variables = (argument, {}) if isinstance(argument, str) else argument

        def substitute(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            value = self._resolve(variables[name]) if name in variables else self._ref(name.strip())
            return text_of(value)

        return _SUB_VARIABLE.sub(substitute, text)

    def _holds(self, expression: Any) -> bool:
        match expression:
            case {"Fn::Equals": [left, right]}:
                return text_of(self._resolve(left)) == text_of(self._resolve(right))
            case {"Fn::Not": [inner]}:
                return not self._holds(inner)
            case {"Fn::And": inner}:
                return all(map(self._holds, inner))
            case {"Fn::Or": inner}:
                return any(map(self._holds, inner))
            case {"Condition": name}:
                return self.condition(name)
            case {"Fn::Contains": [items, value]}:
                return text_of(self._resolve(value)) in self._texts(items)
            case {"Fn::EachMemberEquals": [items, value]}:
                return self._texts(items) <= {text_of(self._resolve(value))}
            case {"Fn::EachMemberIn": [items, allowed]}:
                return self._texts(items) <= self._texts(allowed)
            case _:
                raise TemplateError(f"The local stack does not support this condition: {expression}")

    def _texts(self, items: Any) -> set[str]:
        return {text_of(item) for item in self._resolve(items)}


class _Loader(SafeLoader):
    """YAML with CloudFormation's short tags: `!Ref X` is `{Ref: X}`, `!Sub x` is `{Fn::Sub: x}`."""


def _short_tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(cast("yaml.MappingNode", node), deep=True)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_tag)


def _merged(base: Any, over: Any) -> Any:
    if isinstance(base, list) and isinstance(over, list):
        return [*base, *over]
    if _is_map(base) and _is_map(over):
        return {**base, **over, **{key: _merged(base[key], over[key]) for key in base.keys() & over.keys()}}
    return over


def _is_map(value: Any) -> bool:
    return isinstance(value, dict) and not (len(value) == 1 and _is_function(next(iter(value))))


def _is_function(key: Any) -> bool:
    return isinstance(key, str) and (key == "Ref" or key.startswith("Fn::"))
