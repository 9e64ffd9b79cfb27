"""A reader of template.yaml that follows CloudFormation."""
