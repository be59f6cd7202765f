"""The commands of ``ancestral evaluate``."""
