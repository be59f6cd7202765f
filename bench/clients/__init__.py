"""Other people's clients, from PyPI, against a running server; docs/integrations.md has what was run."""
