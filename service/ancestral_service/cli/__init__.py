"""The commands that serve and sample, one module each; see ``ancestral_service.cli.main``."""
