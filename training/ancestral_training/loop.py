"""The training loop: one process or several, a task, its steps, its checkpoints."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.nn.functional
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.multiprocessing.spawn import start_processes

from ancestral_models.architectures.acoustic import AcousticSpec
from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.checkpoint import Checkpoint, Tensors, load
from ancestral_models.native_build import processor_flags
from ancestral_models.networks.image import ImageNetwork
from ancestral_models.networks.wavenet import WaveNet
from ancestral_models.spec import Spec
from ancestral_training.data import whole

# Runs that torchrun has started: one process a GPU, or a core, on any number of machines with a common folder.

_T = TypeVar("_T")


def world_size() -> int | None:
    """The number of processes that torchrun has started, this one among them; None if it has not started this one."""
    return int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else None


def default_processes() -> int:
    """One per core, or one on a GPU."""
    return 1 if torch.cuda.is_available() else os.cpu_count() or 1


@contextmanager
def process_group() -> Iterator[None]:
    """The group of the processes that torchrun has started, from its environment; nothing if it has not."""
    if world_size() is None:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl")
    else:
        torch.set_num_threads(1)
        dist.init_process_group("gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank_zero_first(work: Callable[[], _T]) -> _T:
    """Do work that writes files in the process of rank 0, and then in the others, which find what it has left."""
    if not dist.is_initialized():
        return work()
    if dist.get_rank():
        dist.barrier()
    done = work()
    if not dist.get_rank():
        dist.barrier()
    return done


# Runs that start from the weights of a checkpoint, or from the whole state of another run.

STATE = "state.safetensors"
_BRANCH = "branch.json"


def require_spec(path: Path, found: Spec, wanted: Spec, may_differ: Iterable[str] = ()) -> None:
    """Raise ValueError, with the fields, if the spec of what ``path`` holds differs from that of the network to train.

    Args:
        path: of a checkpoint or a run.
        found: its spec.
        wanted: that of the network.
        may_differ: fields of the spec that may differ, because they shape no tensor or one that is adapted.
    """
    names = {field.name for field in fields(wanted)} - {*may_differ} if found.kind == wanted.kind else {"kind"}
    if differ := sorted(name for name in names if getattr(found, name) != getattr(wanted, name)):
        raise ValueError(f"{path}: its spec is not that of the network: {', '.join(differ)}")


def read_start(path: Path | None, spec: Spec, may_differ: Iterable[str] = ()) -> Checkpoint | None:
    """The checkpoint that a run starts from, or None.

    Args:
        path: of its directory.
        spec: of the network to train.
        may_differ: fields of the spec; see :func:`require_spec`.

    Raises:
        ValueError: it holds another network.
    """
    if path is None:
        return None
    start = load(path)
    require_spec(path, start.spec, spec, may_differ)
    return start


def load_weights(network: nn.Module, tensors: Tensors) -> None:
    network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})


_ROWS = {"wavenet": {"conditioner.speaker": "speakers"}, "acoustic": {"speaker": "speakers", "phoneme": "phonemes"}}
"""Of each kind of network the tensors with a row for each of the names in a field of its spec."""


def fitted(start: Checkpoint, spec: WaveNetSpec | AcousticSpec) -> Tensors:
    """The tensors of a network for other speakers and phonemes: each keeps its vector, a new one gets the mean."""
    tensors = dict(start.tensors)
    for tensor, names in _ROWS[spec.kind].items():
        vectors, before, wanted = start.tensors.get(tensor), getattr(start.spec, names), getattr(spec, names)
        if vectors is not None and wanted:
            mean = vectors.mean(axis=0)
            tensors[tensor] = np.stack([vectors[before.index(n)] if n in before else mean for n in wanted])
    return tensors


def _metadata(state: Path) -> dict[str, str]:
    with safe_open(state, "pt") as file:
        found: dict[str, str] = file.metadata()
    return found


def branch(trunk: Path, out: Path) -> tuple[int, float]:
    """Let ``out`` continue from the state of another run, unless it has been started already.

    The trunk keeps weights from before any decay: any number of branches of any length can be annealed from them
    (Hu et al. 2024, arXiv:2404.06395, section 4: warm-up, stable, decay).

    Returns:
        The step at which the branch started, and the learning rate of the trunk there.

    Raises:
        ValueError: ``trunk`` has no state, or ``out`` is another run.
    """
    note, state, copy = out / _BRANCH, out / STATE, out / f"{STATE}.trunk"
    if not note.exists():
        if state.exists():
            raise ValueError(f"{out}: a run that is not a branch of another")
        if not (trunk / STATE).exists():
            raise ValueError(f"{trunk}: no state of a run ({STATE})")
        out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(trunk / STATE, copy)
        meta = _metadata(copy)
        step, rate = int(meta["step"]), float(meta["learning_rate"])
        begun = {"trunk": str(trunk.resolve()), "step": step, "learning_rate": rate}
        with whole(note) as partial:
            partial.write_text(json.dumps(begun))
    if copy.exists():  # of a copy, whole since there is a note
        os.replace(copy, state)
    found = json.loads(note.read_text())
    return int(found["step"]), float(found["learning_rate"])


# The training loop: AdamW and Muon, EMA, clipping, a schedule, several processes, and an exact resume.
#
# A task supplies the network and, for any step and process, its batch; everything random in a batch follows from (seed,
# step, rank). So a run that is killed and resumed from its last state continues exactly as if it had not been killed.

LOG = "log.jsonl"
"""File of the loss and, after evaluations, the held-out figures."""


class Task(Protocol):
    """A training task: the network, its data and its loss."""

    @property
    def spec(self) -> Spec:
        """Of the network."""

    @property
    def unit(self) -> str:
        """The unit of the loss's items and of the progress display: ``samples``, ``frames``."""

    @property
    def measure(self) -> str:
        """The unit of the loss: ``bits``."""

    def network(self) -> nn.Module:
        """The network with its initial weights, on the CPU."""

    def loss(self, model: nn.Module, step: int, rank: int, device: torch.device) -> tuple[Tensor, int]:
        """The mean loss of this process's batch, and its number of items."""

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Figures on held-out data, for the log."""

    def export(self, model: nn.Module, out: Path, trained: dict[str, Any], figures: dict[str, float]) -> None:
        """Write the averaged weights as a checkpoint directory."""


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast to train."""

    steps: int
    learning_rate: float = 2e-3
    warmup: int = 500
    decay: float = 0.3
    """The share of the steps, at the end, over which the learning rate falls linearly to zero; 0 leaves it constant."""
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema: float = 0.999
    seed: int = 0
    save_seconds: float = 120.0
    evaluate_every: int = 1000
    log_every: int = 50

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, constant, linear decay to zero."""
        falling = (self.steps - step) / max(self.decay * self.steps, 1.0)
        return self.learning_rate * max(min((step + 1) / self.warmup, 1.0, falling), 0.0)


def _resumable(state: Path, spec: Spec, config: LoopConfig, world: int) -> dict[str, str]:
    """The metadata of a saved state, after checking that this network and configuration can resume it."""
    meta = _metadata(state)
    # A set of pictures that has grown may have more of the labels that occur together.
    require_spec(state.parent, spec.from_json(json.loads(meta["spec"])), spec, ["label_rows"])
    if int(meta["world"]) != world:
        raise ValueError(f"processes: this run was started with {meta['world']}, not {world}")
    if int(meta["seed"]) != config.seed:
        raise ValueError(f"seed: this run was started with {meta['seed']}, not {config.seed}")
    return meta


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name: those of a part that the task has frozen are not."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


_STACKED: Final = "state_to_state"
"""Matrices of PixelRNN that have two axes before their own, of layers and directions."""
_NEWTON_SCHULZ = 3.4445, -4.7750, 2.0315
"""Of the polynomial whose repetition takes singular values to about 1."""


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal, as the update of matrices (Jordan et al. 2024), of the size that AdamW's updates have
    (Liu et al. 2025, arXiv:2502.16982, section 2.2). The matrices of a parameter ``[..., in, out]`` are updated each by
    itself, which torch's own class cannot do; ``kernels`` ``[..., out, in, rows, columns]`` are matrices of ``out``
    rows (of transposed convolutions, ``in``).
    """

    def __init__(self, matrices: Iterable[nn.Parameter], kernels: Iterable[nn.Parameter], weight_decay: float) -> None:
        groups = [{"params": [*matrices], "axes": 1}, {"params": [*kernels], "axes": 3}]
        super().__init__(groups, {"lr": 0.0, "weight_decay": weight_decay, "momentum": 0.95})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                average = self.state[parameter].setdefault("exp_avg", torch.zeros_like(parameter))
                average.lerp_(parameter.grad, 1.0 - group["momentum"])
                ahead = parameter.grad.lerp(average, group["momentum"])
                matrices = ahead.flatten(-group["axes"])
                size = 0.2 * math.sqrt(max(matrices.shape[-2:]))
                parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                parameter.add_(orthogonal(matrices).view_as(parameter), alpha=-group["lr"] * size)


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices ``[..., n, m]`` with the same singular vectors, and singular values of about 1, but for tiny ones."""
    if matrices.shape[-2] > matrices.shape[-1]:
        return orthogonal(matrices.mT).mT
    a, b, c = _NEWTON_SCHULZ
    x: Tensor = matrices / matrices.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x


def _matrices(network: nn.Module) -> set[str]:
    """The parameters that Muon updates, of a network that is sampled: all but biases and vectors of what has a name."""
    if not isinstance(network, WaveNet | ImageNetwork):
        return set()
    apart = "bias", "embedding", "speaker"
    return {name for name, tensor in network.named_parameters() if tensor.ndim > 1 and not name.endswith(apart)}


class Trainer:
    """One process's share of a run. Rank 0 also averages, logs, saves and evaluates."""

    def __init__(self, task: Task, config: LoopConfig, out: Path, rank: int = 0, world: int = 1) -> None:
        self.task, self.config, self.out, self.rank, self.world = task, config, out, rank, world
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(config.seed)
        self.model = task.network().to(self.device)
        trained = trained_parameters(self.model)
        self.average = {n: p.detach().clone() for n, p in trained.items()}
        self._matrices = _matrices(self.model) & trained.keys()
        others = [parameter for name, parameter in trained.items() if name not in self._matrices]
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(others, lr=0.0, betas=(0.9, 0.99), weight_decay=config.weight_decay, fused=True)
        ]
        if self._matrices:
            kernels = {name for name in self._matrices if trained[name].ndim > 3 and not name.endswith(_STACKED)}
            matrices = [trained[name] for name in sorted(self._matrices - kernels)]
            self.optimizers.append(Muon(matrices, [trained[name] for name in sorted(kernels)], config.weight_decay))
        self.step = 0
        self.items = 0
        self.seconds = 0.0
        self._load()
        self._saved = time.monotonic()
        self._figures: dict[str, float] = {}

    def _load(self) -> None:
        """Resume from the last saved state, if there is one."""
        if not (self.out / STATE).exists():
            return
        meta = _resumable(self.out / STATE, self.task.spec, self.config, self.world)
        with safe_open(self.out / STATE, "pt", device=str(self.device)) as file:
            self.step, self.items, self.seconds = int(meta["step"]), int(meta["items"]), float(meta["seconds"])
            with torch.no_grad():
                for name, parameter in trained_parameters(self.model).items():
                    parameter.copy_(file.get_tensor(f"model.{name}"))
                    self.average[name].copy_(file.get_tensor(f"average.{name}"))
                    state = self._state(name, parameter)
                    state["exp_avg"] = file.get_tensor(f"first.{name}")
                    if name not in self._matrices:
                        state["step"] = torch.tensor(float(self.step), device=self.device)
                        state["exp_avg_sq"] = file.get_tensor(f"second.{name}")

    def _state(self, name: str, parameter: nn.Parameter) -> dict[str, Tensor]:
        """What the optimiser of a parameter keeps of it."""
        state: dict[str, Tensor] = self.optimizers[name in self._matrices].state[parameter]
        return state

    def save(self) -> None:
        """Write weights, averages and optimiser state; the old file stays until the new one is complete."""
        tensors = {}
        for name, parameter in trained_parameters(self.model).items():
            state = self._state(name, parameter)
            tensors[f"model.{name}"] = parameter.detach()
            tensors[f"average.{name}"] = self.average[name]
            tensors[f"first.{name}"] = state["exp_avg"]
            if name not in self._matrices:
                tensors[f"second.{name}"] = state["exp_avg_sq"]
        meta = {
            "step": self.step, "items": self.items, "seconds": self.seconds, "world": self.world,
            "seed": self.config.seed, "learning_rate": self.config.learning_rate,
            "spec": json.dumps(self.task.spec.to_json()),
        }  # fmt: skip
        with whole(self.out / STATE) as partial:
            save_file({k: v.contiguous() for k, v in tensors.items()}, partial, {k: str(v) for k, v in meta.items()})

    def run_step(self) -> tuple[float, float]:
        """One update; returns the mean loss over all processes and the norm of the gradient."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.config.rate(self.step)
            optimizer.zero_grad()
        torch.manual_seed(hash((self.config.seed, self.step, self.rank)) & 0x7FFFFFFF)
        loss, items = self.task.loss(self.model, self.step, self.rank, self.device)
        loss.backward()
        mean = loss.detach()
        if self.world > 1:
            mean = self._share(mean)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        self.items += items * self.world
        self._update_average()
        return float(mean), float(norm)

    def _share(self, loss: Tensor) -> Tensor:
        """Average gradients and loss over the processes, as one message."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        flat = torch.cat([loss.reshape(1), *[g.reshape(-1) for g in gradients]])
        dist.all_reduce(flat)
        flat /= self.world
        position = 1
        for gradient in gradients:
            gradient.copy_(flat[position : position + gradient.numel()].view_as(gradient))
            position += gradient.numel()
        return flat[0]

    @torch.no_grad()
    def _update_average(self) -> None:
        # The average follows faster at first, or the random initial weights would stay in it for thousands of steps.
        keep = min(self.config.ema, (1 + self.step) / (10 + self.step))
        parameters = trained_parameters(self.model)
        torch._foreach_lerp_(list(self.average.values()), [parameters[n] for n in self.average], 1.0 - keep)

    def averaged(self) -> nn.Module:
        """The network with its averaged weights."""
        model = self.task.network().to(self.device)
        with torch.no_grad():
            for name, parameter in trained_parameters(model).items():
                parameter.copy_(self.average[name])
        return model.eval()

    def run(self, parent: int | None = None, minutes: float = math.inf) -> None:
        """Train to the end (rank 0 with a progress bar), saving on the way.

        Args:
            parent: a process without which this one must not go on.
            minutes: after which to stop and save before the end, so that the run can be resumed.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        began, counted, before = time.monotonic(), self.items, self.seconds
        end = before + 60.0 * minutes
        losses: list[float] = []
        with _progress(self.task.unit, self.rank != 0) as progress:
            bar = progress.add_task("training", total=self.config.steps, completed=self.step, figures="")
            while not self._ended(end):
                if parent is not None and os.getppid() != parent:
                    raise SystemExit("the process that started this one is gone")
                loss, norm = self.run_step()
                self.seconds = before + time.monotonic() - began
                if self.rank != 0:
                    continue
                losses.append(loss)
                if self.step % self.config.log_every == 0:
                    speed = (self.items - counted) / (self.seconds - before)
                    mean = sum(losses) / len(losses)
                    losses.clear()
                    self._log({"loss": mean, "norm": norm, "items_per_second": speed})
                    text = f"{mean:.3f} {self.task.measure}, {speed / 1000:.1f}k {self.task.unit}/s"
                    progress.update(bar, completed=self.step, figures=text)
                self._keep(last=self._ended(end))

    def _ended(self, end: float) -> bool:
        """Whether all steps are done, or this run has trained for ``end`` seconds, earlier runs included."""
        return self.step >= self.config.steps or self.seconds >= end

    def _keep(self, *, last: bool) -> None:
        """Evaluate and save when due, and after the last step."""
        if self.step % self.config.evaluate_every == 0 or last:
            self._figures = self.task.evaluate(self.averaged(), self.device)
            self._log(self._figures)
        if last or time.monotonic() - self._saved > self.config.save_seconds:
            # In this order: a run killed between the two resumes from the older state and exports again.
            self.task.export(self.averaged(), self.out / "checkpoint", self.trained(), self._figures)
            self.save()
            self._saved = time.monotonic()  # after an export, which may take longer than that

    def trained(self) -> dict[str, Any]:
        """The record of the run, for the model card."""
        return {
            "step": self.step, "items": self.items, "hours": round(self.seconds / 3600, 2), "processes": self.world,
            "optimizers": ", ".join(type(each).__name__ for each in self.optimizers), **asdict(self.config),
        }  # fmt: skip

    def _log(self, figures: dict[str, float]) -> None:
        line = {"step": self.step, self.task.unit: self.items, "hours": round(self.seconds / 3600, 4), **figures}
        with (self.out / LOG).open("a") as file:
            file.write(json.dumps(line) + "\n")


def _progress(unit: str, disabled: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(), console=Console(stderr=True), disable=disabled, refresh_per_second=2,
    )  # fmt: skip


def _process(rank: int, world: int, task: Task, config: LoopConfig, out: Path, rendezvous: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=world)
    try:
        Trainer(task, config, out, rank, world).run(parent=os.getppid())
    finally:
        dist.destroy_process_group()


def train(task: Task, config: LoopConfig, out: Path, processes: int, minutes: float = math.inf) -> None:
    """Train ``task`` in ``out`` with one CPU process per core (or a single one on a GPU), resuming an earlier run.

    Where torchrun has started this process, it is one of ``processes``, and their group exists.

    Raises:
        ValueError: what is there is another network, seed or number of processes; the task has no network; several
            processes shall stop after so many ``minutes``, which each would measure by its own clock; torchrun has
            started another number of processes.
    """
    launched = world_size()
    if launched not in (None, processes):
        raise ValueError(f"processes: torchrun has started {launched}, not {processes}")
    if processes > 1 and minutes != math.inf:
        raise ValueError("minutes: only with one process")
    # Here, because an exception in a child process is no ValueError.
    task.network()
    out.mkdir(parents=True, exist_ok=True)
    if (out / STATE).exists():
        _resumable(out / STATE, task.spec, config, processes)
    if launched is not None or processes == 1:
        rank = dist.get_rank() if launched is not None else 0
        Trainer(task, config, out, rank, processes).run(minutes=minutes)
        return
    rendezvous = out / "rendezvous"
    rendezvous.unlink(missing_ok=True)  # left behind by a killed run, it would join us to processes that are gone
    start_processes(
        _process,
        (processes, task, config, out, f"file://{rendezvous.absolute()}"),
        nprocs=processes,
        start_method="spawn",
    )


_FLAGS = {"amx_bf16", "bf16"}
"""Flags of processors that multiply bfloat16 numbers fast: x86 with AMX, ARM. With AVX-512 BF16 alone float32 is 1.3
times (WaveNet) to 1.4 times (acoustic model) as fast."""


def fastest_precision() -> str:
    """``bfloat16`` on a GPU and on processors that multiply such numbers fast, otherwise ``float32``."""
    if torch.cuda.is_available() or _FLAGS & processor_flags():
        return "bfloat16"
    return "float32"
