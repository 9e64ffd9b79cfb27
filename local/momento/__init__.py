"""A local server of Momento's wire protocol, for unmodified SDKs."""
