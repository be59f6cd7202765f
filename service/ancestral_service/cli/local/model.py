"""The models that a command samples in its own process."""

from __future__ import annotations

from pathlib import Path

from ancestral.local import LocalModels
from ancestral_service.settings import Settings
from ancestral_service.telemetry.logging import configure_logging


def configured_models(settings: Settings, pronunciations: Path | None = None) -> LocalModels:
    """The models of a deployment; logs from here on as commands without a server do.

    Args:
        settings: of the deployment.
        pronunciations: instead of ANCESTRAL_PRONUNCIATIONS.
    """
    given = settings.model_fields_set
    log_level = settings.log_level if "log_level" in given else "warning"
    configure_logging(log_level, settings.log_format if "log_format" in given else "text")
    return LocalModels(settings, pronunciations)
