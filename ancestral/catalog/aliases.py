"""Other names of models and voices, for clients that know only the names of another service.

A request may use an alias wherever it may use an id. Jobs, manifests and response headers have the id.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from ancestral.models.entries import ModelError

DEFAULT_MODEL: Final = "wavenet-multilingual"
"""What speaks where no model is named."""
VOICE_ALIASES: Final[Mapping[str, str]] = {
    # OpenAI's, but for alloy, echo, fable, nova and onyx, which are voices here
    "ash": "eric", "ballad": "george", "cedar": "joe", "coral": "sarah", "marin": "heart", "sage": "emma",
    "shimmer": "lily", "verse": "michael",
    # Kokoro's, of the voices here
    "af_heart": "heart", "af_nova": "nova", "af_alloy": "alloy", "af_sarah": "sarah", "am_echo": "echo",
    "am_eric": "eric", "am_michael": "michael", "am_onyx": "onyx", "bf_emma": "emma", "bf_lily": "lily",
    "bm_fable": "fable", "bm_george": "george", "ef_dora": "dora", "em_alex": "alex", "ff_siwis": "siwis",
    "if_sara": "sara", "im_nicola": "nicola", "pf_dora": "dora-br", "pm_alex": "alex-br",
    # and of others
    "af_bella": "heart", "am_adam": "joe",
}  # fmt: skip
"""OpenAI's names of voices, some clients of which accept no others, and Kokoro's ids. Where the voice is not here, the
nearest by sex and pitch."""
_SPEECH_MODELS: Final = (
    "tts-1", "tts-1-hd", "gpt-4o-mini-tts", "eleven_monolingual_v1", "eleven_multilingual_v2", "eleven_turbo_v2",
    "eleven_turbo_v2_5", "eleven_flash_v2", "eleven_flash_v2_5", "kokoro",
)  # fmt: skip
_IMAGE_MODELS: Final = ("dall-e-2", "dall-e-3", "gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5")
MODEL_ALIASES: Final[Mapping[str, str]] = {
    **dict.fromkeys(_SPEECH_MODELS, DEFAULT_MODEL),
    **dict.fromkeys(_IMAGE_MODELS, "pixelcnn-sprites"),
}
"""Names of models that clients of OpenAI, ElevenLabs and Kokoro-FastAPI send by default."""


@dataclass(frozen=True)
class Aliases:
    """The aliases that are in force: each maps to an id that exists."""

    models: Mapping[str, str] = field(default_factory=dict)
    voices: Mapping[str, str] = field(default_factory=dict)

    def of_model(self, model_id: str) -> list[str]:
        return [alias for alias, target in self.models.items() if target == model_id]

    def of_voice(self, voice_id: str) -> list[str]:
        return [alias for alias, target in self.voices.items() if target == voice_id]


def effective_aliases(
    configured: Mapping[str, str] | None, default: Mapping[str, str], ids: Collection[str], setting: str
) -> dict[str, str]:
    """The aliases of one kind.

    Args:
        configured: by the deployment; None if it has not configured any.
        default: is used then, as far as its ids exist and its aliases are no ids themselves.
        ids: of all models, or of all voices.
        setting: its name, for messages.

    Raises:
        ModelError: a configured alias is an id itself, or maps to none.
    """
    if configured is None:
        return {alias: target for alias, target in default.items() if target in ids and alias not in ids}
    for alias, target in configured.items():
        if target not in ids:
            raise ModelError(f"{setting}: {alias}={target}: there is no {target}; available: {', '.join(ids)}")
        if alias in ids:
            raise ModelError(f"{setting}: {alias}={target}: {alias} is an id itself")
    return dict(configured)
