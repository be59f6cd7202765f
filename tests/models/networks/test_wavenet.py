"""What depends on what, proved by gradient; and that one step at a time is the same network."""

import pytest
import torch

from ancestral.models.architectures import tensor_table
from ancestral.models.audio.mu_law import SILENCE
from ancestral.models.networks.gate import gate
from ancestral.models.networks.wavenet import WaveNet
from ancestral.models.tensors import shapes
from tests.models.random_models import MEDIUM_SPEC, SMALL_SPEC, TINY_SPECS

TINY = pytest.mark.parametrize("spec", TINY_SPECS.values(), ids=TINY_SPECS.keys())


def conditions(spec, batch, frames):
    rows = frames + 2 * spec.conditioner_layers
    local = torch.randn(batch, rows, spec.local_channels, dtype=torch.float64) if spec.local_channels else None
    return local, torch.arange(batch) % len(spec.speakers) if spec.speakers else None


def network(spec):
    torch.manual_seed(3)
    return WaveNet(spec).double()


def seen_from(spec, position, time):
    """Which earlier inputs move the logits at ``position``: the gradient that reaches each one's embedding."""
    model = network(spec)
    frames, speaker = conditions(spec, 1, time // spec.local_hop)
    # Every input gets a row of the table to itself, so the gradient of the table is that of the inputs.
    symbols = torch.arange(time)[None] % 256
    assert time <= 256
    logits = model(symbols, frames, speaker)[0, position]
    logits.pow(2).sum().backward()
    return model.embedding.grad.abs().sum(dim=1)[:time]


@TINY
def test_nothing_of_the_future_is_seen_and_all_of_the_receptive_field_is(spec):
    assert spec.receptive_field == 1 + 2 * (1 + 2 + 4)
    position = 100
    reached = torch.nonzero(seen_from(spec, position, 160)).flatten().tolist()
    first = position - spec.receptive_field
    assert reached == list(range(first, position))


def test_the_receptive_fields_of_the_published_sizes():
    assert SMALL_SPEC.receptive_field == 1 + 3 * 255
    assert MEDIUM_SPEC.receptive_field == 1 + 3 * 1023
    assert SMALL_SPEC.dilations[:9] == (1, 2, 4, 8, 16, 32, 64, 128, 1)


def test_before_the_first_symbol_there_is_silence():
    model = network(TINY_SPECS["unconditional"])
    model(torch.tensor([[5, 6, 7, 8]]))[0, 0].sum().backward()
    assert torch.nonzero(model.embedding.grad.abs().sum(dim=1)).flatten().tolist() == [SILENCE]


def test_a_frame_reaches_its_own_samples_and_the_conditioners_neighbours():
    spec = TINY_SPECS["conditional"]
    model, hop, margin = network(spec), spec.local_hop, spec.conditioner_layers
    frames, speaker = conditions(spec, 1, 12)
    frames.requires_grad_()
    logits = model(torch.zeros(1, 12 * hop, dtype=torch.long), frames, speaker)
    # A receptive field of 15 lies within one hop: the first sample of frame 6 still sees gates of frame 5.
    (grad,) = torch.autograd.grad(logits[0, 6 * hop].sum(), frames)
    reached = torch.nonzero(grad[0].abs().sum(dim=1)).flatten() - margin
    assert reached.tolist() == list(range(5 - margin, 6 + margin + 1))


def test_speakers_and_frames_matter():
    spec = TINY_SPECS["conditional"]
    model = network(spec)
    symbols = torch.randint(0, 256, (1, 32))
    frames, _ = conditions(spec, 1, 2)
    one, two = (model(symbols, frames, torch.tensor([who])) for who in (0, 1))
    assert (one - two).abs().max() > 1e-3
    assert (one - model(symbols, frames + 1.0, torch.tensor([0]))).abs().max() > 1e-3


@TINY
def test_steps_equal_the_forward_pass(spec):
    model, time = network(spec), 160
    frames, speaker = conditions(spec, 2, time // spec.local_hop)
    symbols = torch.randint(0, 256, (2, time))
    whole = model(symbols, frames, speaker)
    biases = model.gate_biases(frames, speaker, 2).view(spec.layers, 2, -1, spec.gate_channels)
    state = model.initial_state(2)
    for t in range(time):
        held = biases[:, :, min(t // spec.local_hop, biases.shape[2] - 1)]
        logits, state = model.step(state, held)
        state = state._replace(symbol=symbols[:, t])
        torch.testing.assert_close(logits, whole[:, t], rtol=1e-10, atol=1e-10)


def test_the_fused_gate_equals_the_formula_and_its_gradient():
    torch.manual_seed(0)
    z, bias = torch.randn(64, 32) * 3, torch.randn(4, 32)
    inputs = [t.clone().requires_grad_() for t in (z, bias)]
    exact = [t.double().requires_grad_() for t in (z, bias)]
    fused, plain = gate(*inputs, 16), gate(*exact, 16)
    torch.testing.assert_close(fused.double(), plain, rtol=1e-5, atol=1e-6)
    weight = torch.randn_like(fused)
    (fused * weight).sum().backward()
    (plain * weight.double()).sum().backward()
    for mine, theirs in zip(inputs, exact, strict=True):
        torch.testing.assert_close(mine.grad.double(), theirs.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spec", [SMALL_SPEC, MEDIUM_SPEC, *TINY_SPECS.values()])
def test_a_checkpoint_expects_what_the_network_has(spec):
    with torch.device("meta"):
        state = WaveNet(spec).state_dict()
    assert {name: tuple(t.shape) for name, t in state.items()} == shapes(tensor_table(spec))
