"""The training loop: runs that are killed, stopped, continued as branches, in slices and by torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
import torch
import yaml
from safetensors import SafetensorError, safe_open

from ancestral.catalog.catalog import BUNDLED
from ancestral_models.architectures.pixelrnn import PixelRNNSpec
from ancestral_models.checkpoint import WEIGHTS, load, save
from ancestral_models.engines.speech.onnx import OnnxEngine
from ancestral_training.export import Graph, export, graphs
from ancestral_training.export.parity import ParityError
from ancestral_training.loop import STATE, LoopConfig, Muon, Trainer, branch, orthogonal, train
from ancestral_training.tasks.acoustic import AcousticTask
from ancestral_training.tasks.pictures import ImageTask
from ancestral_training.tasks.wavenet import WaveNetTask
from tests.models.random_models import TINY_SPECS, random_checkpoint
from tests.paths import ROOT
from tests.training.pictures import QUARTERS, quarters, write_set
from tests.training.sounds import EVEN, FRAMES, WAVENET

STEPS = 24
TRUNK = LoopConfig(40, 5e-3, warmup=5, decay=0.0, evaluate_every=20, log_every=5)
_RUN = """
import sys
from pathlib import Path
from ancestral_training.loop import LoopConfig, train
from ancestral_training.tasks.wavenet import WaveNetTask
from tests.training.sounds import EVEN, WAVENET

if __name__ == "__main__":
    data, out, steps, processes, save_seconds = sys.argv[1:]
    task = WaveNetTask(WAVENET, (Path(data),), EVEN, batch=2, crop_frames=8)
    config = LoopConfig(int(steps), warmup=4, evaluate_every=10, log_every=5, save_seconds=float(save_seconds), seed=3)
    train(task, config, Path(out), int(processes))
"""


def start(data: Path, out: Path, processes: int, *, steps: int = STEPS, save: float = 0.0) -> subprocess.Popen[bytes]:
    """A run in a process of its own, at the head of a pipe that all its children hold, too."""
    command = [sys.executable, "-c", _RUN, *map(str, (data, out, steps, processes, save))]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=one_thread, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(process: subprocess.Popen[bytes], code: int = 0) -> None:
    """Wait until the run is gone, and the last of its children has let go of the pipe."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode == code, output.decode()


def state(out: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    with safe_open(out / STATE, "pt") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def kill_in_the_middle(process: subprocess.Popen[bytes], out: Path, after: int = 3) -> int:
    """Kill a run once some steps of it are saved; returns how many, when nothing of it is left running."""
    while process.poll() is None:
        try:
            if int(state(out)[0]["step"]) >= after:
                break
        except (FileNotFoundError, SafetensorError):
            pass
        time.sleep(0.002)
    process.kill()
    finish(process, -9)
    return int(state(out)[0]["step"])


@pytest.fixture(scope="module")
def task(prepared: Path) -> WaveNetTask:
    return WaveNetTask(WAVENET, (prepared,), EVEN, batch=2, crop_frames=8)


@pytest.fixture(scope="module")
def trunk(task: WaveNetTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without decay, in this process."""
    out = tmp_path_factory.mktemp("trunk") / "run"
    train(task, TRUNK, out, 1)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_run_ends_where_it_would_have(prepared: Path, tmp_path: Path, processes: int) -> None:
    finish(start(prepared, tmp_path / "whole", processes, save=1e9))
    reached = kill_in_the_middle(start(prepared, tmp_path / "killed", processes), tmp_path / "killed")
    assert 3 <= reached < STEPS
    finish(start(prepared, tmp_path / "killed", processes))
    (expected, whole), (meta, resumed) = state(tmp_path / "whole"), state(tmp_path / "killed")
    assert [meta[key] for key in ("items", "world", "seed")] == [expected[key] for key in ("items", "world", "seed")]
    assert meta["step"] == expected["step"] == str(STEPS)
    assert meta["items"] == str(STEPS * processes * 2 * 8 * WAVENET.local_hop)
    assert whole.keys() == resumed.keys()
    assert {name.partition(".")[0] for name in whole} == {"model", "average", "first", "second"}
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []
    one, other = (load(tmp_path / name / "checkpoint") for name in ("whole", "killed"))
    assert one.sha256 == other.sha256


def test_a_run_of_limited_time_is_saved_and_goes_on(task: WaveNetTask, tmp_path: Path) -> None:
    config = LoopConfig(4, 1e-2, warmup=1, save_seconds=1e9)
    for step in range(1, 5):
        train(task, config, tmp_path / "slices", 1, minutes=1e-9)  # a step takes longer
        assert state(tmp_path / "slices")[0]["step"] == str(step)
    train(task, config, tmp_path / "whole", 1)
    one, other = (load(tmp_path / name / "checkpoint") for name in ("slices", "whole"))
    assert one.sha256 == other.sha256
    with pytest.raises(ValueError, match="minutes: only with one process"):
        train(task, config, tmp_path / "several", 2, minutes=1.0)


def test_children_end_with_their_parent(prepared: Path, tmp_path: Path) -> None:
    process = start(prepared, tmp_path / "run", 2, steps=1_000_000)
    # It only returns when the pipe, which the children hold, is closed.
    assert kill_in_the_middle(process, tmp_path / "run", after=1) < 1_000_000


def test_what_a_run_exports(trunk: Path) -> None:
    made, (_, tensors) = load(trunk / "checkpoint"), state(trunk)
    assert all(torch.equal(torch.from_numpy(x), tensors[f"average.{n}"]) for n, x in made.tensors.items())
    assert any(not torch.equal(torch.from_numpy(x), tensors[f"model.{n}"]) for n, x in made.tensors.items())
    assert "| seed | 0 |" in made.card


@pytest.mark.parametrize(
    ("seed", "processes", "speakers", "message"),
    [(1, 1, "ann bob", "seed: this run was started with 0, not 1"), (0, 2, "ann bob", "processes: "),
     (0, 1, "bob ann", "its spec is not that of the network: speakers")],
)  # fmt: skip
def test_another_run(task: WaveNetTask, trunk: Path, seed: int, processes: int, speakers: str, message: str) -> None:
    before = (trunk / STATE).read_bytes()
    task = replace(task, spec=replace(WAVENET, speakers=tuple(speakers.split())))
    with pytest.raises(ValueError, match=message):
        train(task, LoopConfig(200, seed=seed), trunk, processes)
    assert (trunk / STATE).read_bytes() == before


def test_time_between_exports_excludes_them(task: WaveNetTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, exports = [0.0], list[int]()

    def export(_task: object, _model: object, _out: Path, trained: dict[str, Any], _figures: object) -> None:
        clock.append(clock[-1] + 1000.0)
        exports.append(trained["step"])

    seconds = SimpleNamespace(monotonic=lambda: clock.append(clock[-1] + 1.0) or clock[-1])
    monkeypatch.setattr(WaveNetTask, "export", export)
    monkeypatch.setattr("ancestral_training.loop.time", seconds)
    train(task, LoopConfig(30, save_seconds=10.0), tmp_path, 1)
    assert 2 < len(exports) < 10


def test_the_learning_rate(task: WaveNetTask, tmp_path: Path) -> None:
    config = LoopConfig(100, 1.0, warmup=10, decay=0.3)
    rates = [config.rate(step) for step in range(101)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10:71] == [1.0] * 61
    assert rates[70:] == pytest.approx([(30 - i) / 30 for i in range(31)])
    assert [TRUNK.rate(step) for step in (5, 15, 39)] == [5e-3] * 3, "without decay it stays"
    trainer = Trainer(task, config, tmp_path)
    trainer.run_step()
    trainer.run_step()
    rates = [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
    assert rates == [pytest.approx(0.2)] * 3


def test_updates_of_matrices_are_orthogonal() -> None:
    given = torch.randn(3, 24, 64, generator=torch.Generator().manual_seed(0))
    for matrices in (given, given.mT):
        update = orthogonal(matrices)
        u, values, v = torch.linalg.svd(update, full_matrices=False)
        assert values.min() > 0.65
        assert values.max() < 1.25
        assert ((u.mT @ matrices @ v.mT).diagonal(dim1=-2, dim2=-1) > 0).all(), "the same singular vectors"
    weights = torch.nn.Parameter(given.clone())
    optimizer = Muon([weights], [], weight_decay=0.5)
    optimizer.param_groups[0]["lr"] = 0.1
    weights.grad = given
    optimizer.step()
    expected = 0.95 * given - 0.1 * 0.2 * 8 * orthogonal(given)
    torch.testing.assert_close(weights.detach(), expected)
    kernels = torch.nn.Parameter(given.view(3, 24, 16, 2, 2).clone())
    optimizer = Muon([], [kernels], weight_decay=0.5)
    optimizer.param_groups[1]["lr"] = 0.1
    kernels.grad = given.view_as(kernels)
    optimizer.step()
    torch.testing.assert_close(kernels.detach(), expected.view_as(kernels))


def test_matrices_that_are_stacked_are_no_kernels(tmp_path: Path) -> None:
    pictures = write_set(tmp_path / "pictures.npz", dict(QUARTERS), quarters(4, 0), quarters(4, 1))
    spec = PixelRNNSpec(height=8, width=8, channels=1, levels=2, layers=2, features=4)
    trainer = Trainer(ImageTask(spec, pictures, batch=2), LoopConfig(1), tmp_path)
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    matrices, kernels = ([names[id(p)] for p in group["params"]] for group in trainer.optimizers[1].param_groups)
    assert (set(kernels), "state_to_state" in matrices) == ({"first"}, True)


def test_the_average_follows_the_weights(prepared: Path, tmp_path: Path) -> None:
    task = AcousticTask(FRAMES, (prepared,), EVEN, batch=2)
    trainer = Trainer(task, LoopConfig(100, 1e-2, warmup=1, ema=0.25), tmp_path)
    expected = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
    for step in (1, 2, 3):
        trainer.run_step()
        keep = min(0.25, (1 + step) / (10 + step))
        for name, parameter in trainer.model.named_parameters():
            expected[name] = keep * expected[name] + (1 - keep) * parameter.detach()
    assert keep == 0.25
    averaged = dict(trainer.averaged().named_parameters())
    assert not trainer.averaged().training
    for name, tensor in expected.items():
        torch.testing.assert_close(averaged[name].detach(), tensor)


def test_a_branch_goes_on_from_the_trunk_and_leaves_it_alone(task: WaveNetTask, trunk: Path, tmp_path: Path) -> None:
    out, before = tmp_path / "branch", (trunk / STATE).read_bytes()
    assert branch(trunk, out) == (40, 5e-3)
    assert (out / STATE).read_bytes() == before
    config = LoopConfig(50, 5e-3, warmup=2, decay=10 / 50)
    trainer = Trainer(task, config, out)
    assert trainer.step == 40
    with safe_open(trunk / STATE, "pt") as file:
        assert all(torch.equal(p, file.get_tensor(f"model.{n}")) for n, p in trainer.model.named_parameters())
    train(task, config, out, 1)
    assert branch(trunk, out) == (40, 5e-3), "begun already: it is left as it is"
    assert Trainer(task, config, out).step == 50
    assert (trunk / STATE).read_bytes() == before
    assert json.loads((out / "branch.json").read_text())["step"] == 40


def test_a_branch_that_was_killed_while_it_began(trunk: Path, tmp_path: Path) -> None:
    whole, out = (trunk / STATE).read_bytes(), tmp_path / "branch"
    out.mkdir()
    (out / f"{STATE}.trunk").write_bytes(whole[:100])
    assert branch(trunk, out) == (40, 5e-3)
    assert (out / STATE).read_bytes() == whole
    # Killed between the note and the state's last renaming.
    (out / STATE).rename(out / f"{STATE}.trunk")
    assert branch(trunk, out) == (40, 5e-3)
    assert (out / STATE).read_bytes() == whole


def test_what_is_no_branch(trunk: Path, tmp_path: Path) -> None:
    for out, message in ((trunk, "not a branch of another"), (tmp_path / "out", "no state")):
        with pytest.raises(ValueError, match=message):
            branch(tmp_path, out)
    assert not (tmp_path / "out").exists()


NETWORK = "pixelcnn --levels 2 --layers 2 --features 4 --output-features 4 --conditioning none --warmup 1 --batch 4"


@pytest.fixture
def network(tmp_path: Path) -> list[object]:
    """A kind of network, and options of ``ancestral train``."""
    pictures = write_set(tmp_path / "pictures.npz", dict(QUARTERS), quarters(12, 0), quarters(12, 1))
    return [*NETWORK.split(), "--data", pictures]


def train_slice(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    command = [str(ROOT / "deploy/gpu/train_slice.sh"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def in_two_slices(folder: Path, *options: object) -> list[int]:
    """The steps after each slice: the time is over after the first step, then there is enough for the rest."""
    steps = []
    for before, after, minutes in (("none", "one", 1e-9), ("one", "two", 9)):
        done = train_slice(folder / before, folder / after, minutes, *options)
        assert done.returncode == 0, done.stderr
        (saved,) = (folder / after).glob("state.*")
        assert saved.name == "state.00"
        with safe_open(saved, "pt") as file:
            steps.append(int(file.metadata()["step"]))
    return steps


@pytest.mark.slow
def test_slices_are_one_run_of_a_trunk_and_of_a_branch(network: list[object], tmp_path: Path) -> None:
    trunk = tmp_path / "two"
    assert in_two_slices(tmp_path, *network, "--steps", "3", "--decay", "0") == [1, 3]
    steps = [json.loads(line)["step"] for line in (trunk / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (1, 3)
    assert "| step | 3 |" in load(trunk).card
    (trunk / "state.00").rename(trunk / STATE)
    assert in_two_slices(tmp_path / "branch", *network, "--anneal-from", trunk, "--steps", "2") == [4, 5]


def test_a_failed_slice_leaves_no_state(tmp_path: Path) -> None:
    done = train_slice(tmp_path / "nothing", tmp_path / "out", 1, "pixelcnn", "--data", tmp_path, "--steps", "0")
    assert done.returncode != 0
    assert "steps" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def run(*command: object) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, *map(str, command))
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)


def torchrun(processes: int) -> list[object]:
    return ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes]


@pytest.mark.slow
def test_torchrun_trains_as_the_processes_of_the_command_do(network: list[object], tmp_path: Path) -> None:
    def trained(out: Path, launch: list[object], *options: object) -> tuple[list[dict[str, float]], bytes]:
        done = run(*launch, "-m", "ancestral_service", "train", *network, *options, "--steps", 50, "-o", out)
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        log = [{n: x for n, x in line.items() if n not in ("hours", "items_per_second")} for line in lines]
        assert len(log) >= 2
        return log, (out / "checkpoint/weights.safetensors").read_bytes()

    found = []
    for name, launch, options in (("spawned", [], ["--processes", 2]), ("launched", torchrun(2), [])):
        trunk = tmp_path / name
        found.append(trained(trunk, launch, *options, "--decay", 0))
        found.append(trained(tmp_path / f"{name}-branch", launch, *options, "--anneal-from", trunk))
    assert found[:2] == found[2:]
    command = ["-m", "ancestral_service", "train", *network, "--steps", 1, "--processes", 3, "-o", tmp_path / "x"]
    assert "processes: torchrun has started 2, not 3" in run(*torchrun(2), *command).stderr


def test_the_job_for_kubernetes_is_valid() -> None:
    validate = pytest.importorskip("kubernetes_validate").validate
    validate(yaml.safe_load((ROOT / "deploy/gpu/job.yaml").read_text()), "1.32", strict=True)


# Export: graphs beside weights, written only if they do what the network does; the bundled ones are current.


SHIPPED = sorted(path.parent for path in BUNDLED.glob(f"*/*/{WEIGHTS}"))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    made = random_checkpoint(TINY_SPECS["conditional"])
    save(tmp_path / "checkpoint", made.spec, made.tensors, "A card.")
    return tmp_path / "checkpoint"


@pytest.mark.parametrize("path", SHIPPED, ids=["/".join(path.parts[-2:]) for path in SHIPPED])
def test_the_bundled_graphs_are_current(path: Path) -> None:
    """If not: ancestral export PATH."""
    current = graphs(load(path))
    found = {file.name: file.read_bytes() == current[file.name] for file in path.glob("*.onnx")}
    assert found == dict.fromkeys(current, True)


def test_graphs_lie_beside_the_weights_and_hold_none(checkpoint: Path) -> None:
    before = {file.name: file.read_bytes() for file in checkpoint.iterdir()}
    written = export(checkpoint)
    assert {file.name for file in written} == {"step.onnx", "steps.onnx", "chunk.onnx"}
    assert {file.name: file.read_bytes() for file in checkpoint.iterdir() if file not in written} == before
    assert [entry.name for entry in checkpoint.parent.iterdir()] == ["checkpoint"], "nothing is left behind"
    for file in written:
        proto = onnx.load(file, load_external_data=False)
        external = [tensor for tensor in proto.graph.initializer if tensor.external_data]
        assert {entry.value for t in external for entry in t.external_data if entry.key == "location"} == {WEIGHTS}
        assert max(len(t.raw_data) for t in proto.graph.initializer) < 1000
        assert {p.key: p.value for p in proto.metadata_props}["ancestral.weights_sha256"] == load(checkpoint).sha256
    assert OnnxEngine(load(checkpoint)).name == "onnx-cpu"


def test_weights_stored_in_half_are_widened_once_by_the_graph(checkpoint: Path, tmp_path: Path) -> None:
    """``export`` compares the graphs with the network before it writes them."""
    made = load(checkpoint)
    save(tmp_path / "half", made.spec, made.tensors, "", half=True)
    for file in export(tmp_path / "half"):
        graph = onnx.load(file, load_external_data=False).graph
        stored = {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT16}
        widened = [node.input[0] for node in graph.node if node.op_type == "Cast" and node.input[0] in stored]
        assert stored
        assert sorted(widened) == sorted(stored)


@pytest.mark.parametrize(("operator", "instead"), [("Tanh", "Softsign"), ("Relu", "Identity"), ("CumSum", "Identity")])
def test_wrong_graphs_stay_out(checkpoint: Path, monkeypatch: pytest.MonkeyPatch, operator: str, instead: str) -> None:
    right = Graph.op

    def wrong(self: Graph, name: str, *inputs: str, **attributes: Any) -> str:
        if name == operator == "CumSum":  # over the residual biases as well as over the probabilities
            return right(self, instead, inputs[0])
        return right(self, instead if name == operator else name, *inputs, **attributes)

    monkeypatch.setattr(Graph, "op", wrong)
    with pytest.raises(ParityError):
        export(checkpoint)
    assert not list(checkpoint.glob("*.onnx"))
