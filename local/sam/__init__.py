"""SAM's local commands, run against the local stack."""
