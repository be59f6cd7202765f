"""``dist/npm``: the kernels and a model for people who want the sampler without Python; ``npm pack dist/npm`` packs it.

``python -m deploy.browser.package`` writes it. docs/javascript.md shows how it is used.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.catalog import BUNDLED, checkpoints
from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.arithmetic import product
from ancestral_models.audio import shaping
from ancestral_models.audio.features import LOG_MEL_MEAN, LOG_MEL_SCALE, log_magnitudes, window_gain
from ancestral_models.audio.mu_law import mu_law_decode
from ancestral_models.checkpoint import load
from ancestral_models.conditioning import speaker_vector
from ancestral_models.entries import ModelEntry
from ancestral_models.kernels.wavenet_layout import WaveNetLayout
from ancestral_models.spec import FeatureSpec
from deploy.browser.site import ROOT, kernels

MODEL: Final = "wavenet-multilingual"
_NAME: Final = "ancestral-wavenet"
_HERE: Final = Path(__file__).parent / "npm"
_ALIGNED: Final = 8
Arrays = dict[str, NDArray[Any]]


def model(entry: ModelEntry) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A model whose voices have a network each, as ``ancestral-wavenet.js`` reads it: numbers and places as JSON, and
    the arrays of each network, and of what makes sound of its symbols."""
    loaded, features, voices = checkpoints(entry), FeatureSpec(), [voice.id for voice in entry.voices]
    spec = loaded.sampled.spec_as(WaveNetSpec)
    networks = {name: load(path) for name, path in entry.networks.items()}
    layouts = {name: WaveNetLayout(network.spec_as(WaveNetSpec), network.tensors) for name, network in networks.items()}
    parts = {name: _network(spec, networks[name].tensors, layouts[name], voices) for name in networks}
    any_of_them = min(networks)  # all have the same sizes
    layers, cycle, residual, *_ = layouts[any_of_them].sizes.tolist()
    described: dict[str, Any] = {
        "rate": spec.sample_rate, "hop": spec.local_hop, "channels": spec.local_channels, "bands": features.mel_bands,
        "layers": spec.conditioner_layers, "width": spec.conditioner_channels, "gates": parts[any_of_them]["bias"].size,
        "ring": layers // cycle * ((1 << cycle) - 1) * residual, "order": shaping.ORDER, "renewals": shaping.RENEWALS,
        "level": shaping.LEVEL * window_gain(features), "least_energy": shaping.LEAST_ENERGY, "limit": shaping.LIMIT,
        "gain_limit": shaping.GAIN_LIMIT, "floor": float(np.log(features.floor)),
        "mel_scale": LOG_MEL_SCALE, "mel_mean": LOG_MEL_MEAN,
        "voices": {
            voice.id: {
                "network": voice.network, "speaker": number, "language": voice.language,
                "voiced": voice.sampling.voiced_temperature, "unvoiced": voice.sampling.unvoiced_temperature,
                "least": round(voice.sampling.min_p * 2**22),
                "low_shelf_db": voice.sampling.low_shelf_db, "mel_correction": voice.sampling.mel_correction,
            }
            for number, voice in enumerate(entry.voices)
        },
        "sha256": loaded.sha256,
    }  # fmt: skip
    places, files = dict[str, dict[str, Any]](), dict[str, bytes]()
    for part, arrays in {**parts, "sound": _sound(features)}.items():
        places[part], files[part] = {}, b""
        for name, array in arrays.items():
            places[part][name] = [array.dtype.str, len(files[part]), array.size]
            files[part] += array.tobytes() + bytes(-array.nbytes % _ALIGNED)
    return {**described, "tensors": places}, files


def _network(spec: WaveNetSpec, tensors: Arrays, layout: WaveNetLayout, voices: list[str]) -> Arrays:
    named = {name: tensors[f"conditioner.{name}"] for name in ("frames_in", "taps", "taps_bias", "bias", "speaker")}
    into = tensors["conditioner.speaker_in"]
    vectors = [speaker_vector(named["speaker"], spec.speakers.index(voice)) for voice in voices]
    matrix, bias, halves = layout.conditions
    return {
        "sizes": layout.sizes, "weights": layout.weights, "matrix": matrix, "bias": bias, "halves": halves,
        "speakers": np.concatenate([named["bias"][None] + product(vector, into)[None] for vector in vectors]),
        **{name: np.ascontiguousarray(named[name]) for name in ("frames_in", "taps", "taps_bias")},
    }  # fmt: skip


def _sound(features: FeatureSpec) -> Arrays:
    """What the filter and the correction read."""
    tables, (even, odd, last) = shaping.tables(features), shaping.cosines(features)
    return {
        "centres": mu_law_decode(np.arange(256)), "shelf": shaping.low_shelf(features),
        "log_offsets": log_magnitudes(np.zeros((1, features.mel_bands)), features)[0],
        "even": even, "odd": odd, "last": last, **tables._asdict(),
    }  # fmt: skip


def write(folder: Path) -> None:
    """Write the package."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    described, files = model(ModelEntry.read(BUNDLED / MODEL))
    about = {
        "name": _NAME, "version": version, "type": "module", "license": "Apache-2.0",
        "main": f"{_NAME}.js",
        "description": "WaveNet as WebAssembly: frames in, sound out; the bytes of Ancestral's server",
        "files": ["*.js", "*.wasm", "*.json", "*.bin", "NOTICE"],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps(about, indent=2) + "\n")
    (folder / "model.json").write_text(json.dumps(described) + "\n")
    for name, data in files.items():
        (folder / f"{name}.bin").write_bytes(data)
    (folder / "ancestral.wasm").write_bytes(kernels())
    for path in (_HERE / f"{_NAME}.js", _HERE / "README.md", ROOT / "LICENSE", ROOT / "NOTICE"):
        (folder / path.name).write_bytes(path.read_bytes())


if __name__ == "__main__":
    write(ROOT / "dist/npm")
