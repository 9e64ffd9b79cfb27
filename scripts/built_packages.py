"""The packages that `sam build` has made for AWS."""

import sys
from pathlib import Path

from local.cloudformation.template import Template, TemplateError

_BUILT_TEMPLATE = Path(__file__).parents[1] / ".aws-sam/build/template.yaml"


def built_packages() -> list[tuple[Path, str]]:
    """Return the folder of each package, which functions may share, and its Python's version, such as `3.13`.

    Exit with a message if nothing has been built.
    """
    try:
        template = Template.load(_BUILT_TEMPLATE, {"MomentoApiKey": "unused"})
    except TemplateError as error:
        sys.exit(f"{error}\nRun sam build first.")
    functions = template.resources("AWS::Serverless::Function").values()
    packages = sorted({(function["CodeUri"], function["Runtime"]) for function in functions})
    return [(_BUILT_TEMPLATE.parent / code, runtime.removeprefix("python")) for code, runtime in packages]
