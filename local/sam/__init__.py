"""SAM's own local commands, on the local stack."""
