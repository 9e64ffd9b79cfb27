"""template.yaml, read as CloudFormation reads it."""
