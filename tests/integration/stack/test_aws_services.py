"""The AWS services: what a template may declare of them."""

from pathlib import Path

import pytest

from local.aws.services import AwsServices
from local.template import Template, TemplateError

_NAMED = """
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: messages
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      TimeToLiveSpecification: {AttributeName: expiration, Enabled: true}
      PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true}
      SSESpecification: {SSEEnabled: true, KMSMasterKeyId: !Ref KeyThatNobodyMade}
      StreamSpecification: {StreamViewType: NEW_IMAGE}
  Secret:
    Type: AWS::SecretsManager::Secret
    Properties: {Name: my-key, SecretString: value}
  UserPool:
    Type: AWS::Cognito::UserPool
    Properties: {UserPoolName: people}
  UserPoolClient:
    Type: AWS::Cognito::UserPoolClient
    Properties: {ClientName: browser, UserPoolId: !Ref UserPool}
"""


def _template(folder: Path, text: str) -> Template:
    (folder / "template.yaml").write_text(text)
    return Template.load(folder / "template.yaml", {})


async def test_resources_have_the_names_that_the_template_gives_them(
    services: AwsServices, tmp_path: Path
) -> None:
    attributes = (await services.create_resources(_template(tmp_path, _NAMED))).attributes
    assert attributes["Table"] == "messages"
    assert attributes["Table.Arn"].endswith(":table/messages")
    assert ":secret:my-key" in attributes["Secret"]
    assert {"UserPool", "UserPool.Arn", "UserPoolClient"} <= set(attributes)
    assert await services.secret("my-key") == "value"


@pytest.mark.parametrize(
    ("old", "new", "resource"),
    [("PAY_PER_REQUEST", "FREE", "Table"), ("SecretString", "SecretSting", "Secret")],
)
async def test_a_resource_that_cannot_be_created_is_named(
    services: AwsServices, tmp_path: Path, old: str, new: str, resource: str
) -> None:
    with pytest.raises(TemplateError, match=f"{resource} in the template"):
        await services.create_resources(_template(tmp_path, _NAMED.replace(old, new)))
