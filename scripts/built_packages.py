"""The packages that `sam build` has made for AWS."""

from pathlib import Path

from local.cloudformation.template import Template, TemplateError

_BUILT_TEMPLATE = Path(__file__).parents[1] / ".aws-sam/build/template.yaml"


def built_packages() -> list[tuple[Path, str]]:
    """The folder of each package, which functions may share, and the version of its Python, such as `3.13`.

    Raises `TemplateError` where nothing has been built.
    """
    try:
        template = Template.load(_BUILT_TEMPLATE, {"MomentoApiKey": "unused"})
    except TemplateError as error:
        raise TemplateError(f"{error}\nRun sam build first.") from None
    functions = template.resources("AWS::Serverless::Function").values()
    packages = sorted({(function["CodeUri"], function["Runtime"]) for function in functions})
    return [(_BUILT_TEMPLATE.parent / code, runtime.removeprefix("python")) for code, runtime in packages]
