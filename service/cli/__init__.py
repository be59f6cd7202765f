"""The commands that serve and sample, one module each; see ``ancestral.service.cli.main``."""
