"""Domain simulators: one file a domain, each simulator registered by a line in pyproject.toml."""
