"""Parts of prepared corpora: together they are the corpora, and each can be trained on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ancestral.service.cli.main import ancestral
from ancestral.training.data.pack import pack
from ancestral.training.data.speech import Dataset, PreparedClip
from ancestral.training.loop import LoopConfig, train
from ancestral.training.tasks.wavenet import WaveNetTask
from tests.training.sounds import SPEAKERS, WAVENET


def contents(dataset: Dataset, clip: PreparedClip) -> tuple[object, ...]:
    arrays = dataset.symbols(clip), dataset.frames(clip), dataset.wave(clip)
    return (clip.speaker, clip.text, clip.phones, clip.durations, clip.word_starts, *(a.tobytes() for a in arrays))


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


@pytest.mark.parametrize("kind", ["prepared", "excited"])
def test_the_parts_hold_every_clip_once(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    source: Path = request.getfixturevalue(kind)
    limit = size(source) // 3
    parts = pack([source], tmp_path / "parts", limit)
    assert [part.name for part in parts] == [f"part-{n:03d}" for n in range(len(parts))]
    assert len(parts) >= 3
    assert all(size(part) <= limit for part in parts)
    whole, opened = Dataset(source), [Dataset(part) for part in parts]
    found = {clip.id: contents(dataset, clip) for dataset in opened for clip in dataset.clips}
    assert sum(len(dataset.clips) for dataset in opened) == len(found)
    assert found == {clip.id: contents(whole, clip) for clip in whole.clips}
    assert all((d.coding, d.spec, d.pitch_ranges) == (whole.coding, whole.spec, whole.pitch_ranges) for d in opened)


def test_parts_are_trained_on_like_the_corpus(prepared: Path, tmp_path: Path) -> None:
    parts = pack([prepared], tmp_path / "parts", size(prepared) // 2)
    task = WaveNetTask(WAVENET, tuple(parts), dict.fromkeys(SPEAKERS, 1.0), batch=2, crop_frames=8)
    train(task, LoopConfig(2, 1e-2, warmup=1), tmp_path / "run", 1)
    assert (tmp_path / "run" / "checkpoint" / "weights.safetensors").exists()


def test_the_order_is_that_of_the_seed(prepared: Path, tmp_path: Path) -> None:
    one, same, other = (
        [[clip.id for clip in Dataset(part).clips] for part in pack([prepared], tmp_path / name, 60_000, seed)]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one == same
    assert one != other


def test_what_cannot_be_packed(prepared: Path, excited: Path, tmp_path: Path) -> None:
    names = "|".join(clip.id for clip in Dataset(prepared).clips)  # none fits; which is tried first is drawn
    with pytest.raises(ValueError, match=rf"({names}): a clip of \d+ bytes does not fit into a part of 9000"):
        pack([prepared], tmp_path / "small", 9000)
    with pytest.raises(ValueError, match=r"excited.*: prepared with"):
        pack([prepared, shutil.copytree(excited, tmp_path / "excited")], tmp_path / "mixed", 1 << 20)
    full = tmp_path / "full"
    full.mkdir()
    np.save(full / "something.npy", np.zeros(1))
    with pytest.raises(ValueError, match="full: not empty"):
        pack([prepared], full, 1 << 20)


def test_the_command(prepared: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        ancestral, ["corpus", "pack", str(prepared), "-o", str(tmp_path / "parts"), "--size", "1"]
    )
    assert (done.exit_code, done.output) == (0, f"{tmp_path / 'parts'}: 1 parts\n")
