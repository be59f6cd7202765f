"""Which model a command takes that names none."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from ancestral.catalog.catalog import BUNDLED, CatalogConfig, load_catalog
from ancestral.errors import InvalidRequest
from ancestral.service.cli.local.model import model_that_speaks


def test_the_model_of_a_voice_is_found_without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = load_catalog(CatalogConfig())
    shutil.copytree(BUNDLED, tmp_path / "zoo", ignore=shutil.ignore_patterns("*.safetensors", "*.onnx"))
    monkeypatch.setenv("ANCESTRAL_MODELS_DIR", str(tmp_path / "zoo"))
    voices = {voice.id for model in catalog.speech_models for voice in model.entry.voices}
    assert len(voices) > 20
    for voice in (*voices, *catalog.aliases.voices, "heart(2)+joe(1)"):
        assert model_that_speaks(voice) == catalog.model_and_voice(None, voice)[0].entry.id
    assert model_that_speaks(None) == catalog.speech_models[0].entry.id
    for wrong in ("nobody", "heart("):
        with pytest.raises(InvalidRequest) as refused:
            catalog.model_and_voice(None, wrong)
        with pytest.raises(InvalidRequest, match=re.escape(str(refused.value))):
            model_that_speaks(wrong)
