"""Access to AWS services: the only place that knows botocore and Powertools' errors."""
