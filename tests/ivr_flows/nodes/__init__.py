"""One test file per node type."""
