"""DelayedLinear as a layer of anyone's module: built, trained, copied, stored, under autocast and in processes."""

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from delaytool.errors import ModelError
from delaytool.models.delayed_linear import (
    UNSET,
    DelayedLinear,
    delay_parameters,
    delayed_layers,
    weight_parameters,
)
from delaytool.models.interpolation import SIGMA_OFFSET
from delaytool.models.spiking_layers import LIF, LeakyReadout
from delaytool.models.stages import synapses_of
from delaytool.trainer.sigma_schedules import SigmaSchedule


def written_out(layer, x, sigma):
    """The equation of the docstring, sum by sum: x (time, batch, n_in) to (time, batch, n_out)."""
    out = x.new_zeros(len(x), x.shape[1], layer.out_features)
    steps = torch.arange(layer.config.max_delay + 1, dtype=x.dtype)
    for o in range(layer.out_features):
        for i in range(layer.in_features):
            for w, d in zip(layer.weight[o, i], layer.delay[o, i], strict=True):
                if sigma is None:
                    bump = (steps == d.round()).to(x.dtype)
                else:
                    bump = torch.exp(-(((steps - d) / (sigma + SIGMA_OFFSET)) ** 2) / 2)
                    bump = bump / (bump.sum() + 1e-7)
                for j in range(min(len(steps), len(x))):
                    out[j:, :, o] = out[j:, :, o] + w * bump[j] * x[: len(x) - j, :, i]
    return out if layer.bias is None else out + layer.bias


@given(
    seed=st.integers(0, 2**31), n_in=st.integers(1, 3), n_out=st.integers(1, 3), max_delay=st.integers(1, 6),
    taps=st.integers(1, 3), time=st.integers(1, 9), bias=st.booleans(), sigma=st.sampled_from([None, 0.0, 0.23, 3.0]),
)  # fmt: skip
def test_it_computes_the_equation_of_its_docstring(seed, n_in, n_out, max_delay, taps, time, bias, sigma):
    torch.manual_seed(seed)
    layer = DelayedLinear(n_in, n_out, max_delay, taps, bias=bias, dtype=torch.float64)
    if layer.bias is not None:
        nn.init.normal_(layer.bias)
    x = torch.randn(time, 2, n_in, dtype=torch.float64)
    layer.sigma = sigma
    probe = torch.randn(time, 2, n_out, dtype=torch.float64)
    learned = [parameter for parameter in layer.parameters() if sigma is not None or parameter is not layer.delay]
    results = []
    for out in (layer(x), written_out(layer, x, sigma)):
        results.append([out, *torch.autograd.grad((out * probe).sum(), learned)])
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        {}, {"bias": True}, {"delays": "fixed-random"}, {"delays": "dense"}, {"delays": "none"},
        {"delays_per": "presynaptic"}, {"delays_per": "postsynaptic"}, {"sparsity": 0.5},
        {"rewiring": "rigl", "sparsity": 0.5, "dale": True}, {"interpolation": "max"},
    ],
)  # fmt: skip
def test_it_is_whole_when_constructed(options):
    # Memory that was used before, where an uninitialized parameter would find NaN.
    held = [torch.full((6, 5, 2), float("nan")) for _ in range(50)]
    del held
    layers = []
    for _ in range(20):
        torch.manual_seed(7)
        layers.append(DelayedLinear(5, 6, 8, 1 if options.get("delays") in ("dense", "none") else 2, **options))
    for layer in layers:
        for name, tensor in (*layer.named_parameters(), *layer.named_buffers()):
            assert torch.isfinite(tensor).all(), name
            assert torch.equal(tensor, layers[0].get_parameter(name) if name in dict(layer.named_parameters())
                               else layers[0].get_buffer(name))  # fmt: skip
        assert layer.delays.min() >= 0
        assert layer.delays.max() <= 8
        assert layer.weight.abs().sum() > 0


class Own(nn.Module):
    """Anyone's module."""

    def __init__(self):
        super().__init__()
        self.first = DelayedLinear(6, 8, max_delay=5, taps=2)
        self.norm = nn.LayerNorm(8)
        self.last = DelayedLinear(8, 3, max_delay=5, bias=True)

    def forward(self, x):
        return self.last(torch.tanh(self.norm(self.first(x))))


def model_of_ones_own():
    torch.manual_seed(3)
    return Own()


def trained(model, steps=30, optimizer=torch.optim.Adam, rate=0.5):
    """(losses, model) of a plain loop, in which delays move far."""
    torch.manual_seed(4)
    x, wanted = (torch.rand(12, 4, 6) < 0.4).float(), torch.randn(12, 4, 3)
    optimizer = optimizer(
        [{"params": weight_parameters(model)}, {"params": delay_parameters(model), "lr": rate}], lr=0.02
    )
    schedule, losses = SigmaSchedule(model, epochs=steps, single_taps_from=steps - 5), []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(x) - wanted).square().mean()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return losses, model


def test_it_learns_in_anyones_module_and_loop():
    before = [delay.detach().clone() for delay in delay_parameters(model_of_ones_own())]
    losses, model = trained(model_of_ones_own())
    assert losses[-1] < 0.9 * losses[0]
    for old, new in zip(before, delay_parameters(model), strict=True):
        assert (old - new).abs().max() > 0.5


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop])
def test_delays_stay_in_range_whatever_moves_them(optimizer):
    rate = 100.0  # far beyond the range with every step
    ours, reference = model_of_ones_own(), model_of_ones_own()
    ours_losses, _ = trained(ours, optimizer=optimizer, rate=rate)

    # Projected gradient descent as it is written: a clamp after every step of the optimizer.
    class Clamps(optimizer):
        def step(self):
            super().step()
            with torch.no_grad():
                for delay in delay_parameters(reference):
                    delay.clamp_(0, 5)

    expected, _ = trained(reference, optimizer=Clamps, rate=rate)
    assert ours_losses == expected
    for layer, other in zip(delayed_layers(ours), delayed_layers(reference), strict=True):
        assert torch.equal(layer.delays, other.delay)
        assert layer.delays.min() >= 0
        assert layer.delays.max() <= 5
        assert {0.0, 5.0} & set(layer.delays.flatten().tolist())


def test_two_passes_before_one_backward_pass():
    layer = DelayedLinear(2, 2, 4)
    layer.sigma = 1.0
    with torch.no_grad():
        layer.delay.fill_(9.0)
    x = torch.rand(6, 3, 2)
    first, second = layer(x), layer(x)
    (first + second).sum().backward()
    assert layer.delay.grad is not None
    assert torch.equal(layer.delay, torch.full_like(layer.delay, 4.0))


def test_frozen_delays_out_of_range_are_projected_in_training_evaluation_and_export():
    layer = DelayedLinear(2, 2, 4)
    layer.sigma = 0.2
    with torch.no_grad():
        layer.delay[0], layer.delay[1] = 7.0, -3.0
    layer.delay.requires_grad_(False)
    exported = synapses_of(layer).delay.clone()
    assert exported[0].unique().tolist() == [4.0]
    assert exported[1].unique().tolist() == [0.0]
    x = torch.zeros(8, 1, 2)
    x[0] = 1.0
    with torch.no_grad():
        layer.delay[0], layer.delay[1] = 7.0, -3.0
    trained_at, evaluated_at = (each.abs().argmax(0).flatten().tolist() for each in (layer(x), layer.eval()(x)))
    assert trained_at == evaluated_at == [4, 0]


def test_dense_kernels_keep_their_delays_in_every_type():
    layer = DelayedLinear(1, 1, 300, delays="dense")
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        assert synapses_of(layer.to(dtype)).delay.flatten().tolist() == list(range(301))
    assert "delay" not in layer.state_dict()


def test_delays_that_their_type_cannot_hold_are_refused():
    for dtype, longest in ((torch.bfloat16, 256), (torch.float16, 2048)):
        x = torch.zeros(3, 1, 1, dtype=dtype)
        DelayedLinear(1, 1, longest, dtype=dtype).eval()(x)
        layer = DelayedLinear(1, 1, longest + 1, dtype=dtype).eval()
        for use in (lambda layer=layer, x=x: layer(x), lambda layer=layer: synapses_of(layer)):
            with pytest.raises(ModelError, match=f"{longest + 1}: {dtype} has every whole delay to {longest}"):
                use()


def test_numbers_of_numpy_are_numbers():
    layer = DelayedLinear(np.int64(3), np.int32(2), np.int64(4), np.int64(2))
    assert layer.config.learns_delays is True
    layer.sigma = 1.0
    layer(torch.rand(5, 1, 3)).sum().backward()
    assert layer.delay.grad is not None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_never_take_the_compiled_loops(dtype):
    torch.manual_seed(0)
    spikes = (torch.rand(100, 32, 140) < 0.02).to(dtype)
    layer = DelayedLinear(140, 128, 60)
    layer.sigma = 0.5
    layer(spikes.float())
    assert layer.form == "windowed"
    layer.to(dtype)(spikes[:, :2]).sum().backward()
    assert layer.weight.grad.dtype == dtype
    layer(spikes)
    assert layer.form != "windowed"
    for form in ("windowed", "events"):
        named = DelayedLinear(3, 2, 4, convolution=form, dtype=dtype).eval()
        with pytest.raises(ModelError, match=f"convolution '{form}' computes in float32 or float64.* of {dtype}"):
            named(torch.zeros(5, 1, 3, dtype=dtype))
    recurrent = DelayedLinear(8, 8, 20, dtype=dtype)
    recurrent.sigma = 0.5
    LIF(recurrent=recurrent)(torch.rand(20, 2, 8, dtype=dtype) * 2).sum().backward()
    assert recurrent.weight.grad.dtype == dtype


def test_training_raises_until_sigma_is_set():
    model = model_of_ones_own()
    x = torch.rand(5, 2, 6)
    with pytest.raises(ModelError, match=r"make a SigmaSchedule of the model, set layer\.sigma"):
        model(x)
    rounded = model.eval()(x)  # what is exported, without a sigma
    SigmaSchedule(model.train(), epochs=3)
    assert not torch.allclose(model(x), rounded)
    assert torch.equal(model.eval()(x), rounded)  # whatever sigma is
    for layer in delayed_layers(model.train()):
        layer.sigma = None
    assert torch.equal(model(x), rounded)
    for delays in ("fixed-random", "none", "dense"):
        DelayedLinear(2, 2, 3, delays=delays)(torch.rand(4, 1, 2))  # there is nothing to spread


@pytest.mark.parametrize("sigma", [-1.0, float("nan"), float("inf")])
def test_a_sigma_that_is_no_width_is_refused(sigma):
    with pytest.raises(ModelError, match="is no width; give a number of steps"):
        DelayedLinear(2, 2, 3).sigma = sigma


def test_batch_first_and_unbatched_input_are_the_same_numbers():
    torch.manual_seed(0)
    layer = DelayedLinear(3, 2, 4, bias=True, current_tau=2.0)
    other = DelayedLinear(3, 2, 4, bias=True, current_tau=2.0, batch_first=True)
    other.load_state_dict(layer.state_dict())
    layer.sigma = other.sigma = 1.0
    x = torch.rand(7, 5, 3)
    expected = layer(x)
    assert expected.shape == (7, 5, 2)
    assert torch.equal(other(x.transpose(0, 1)).transpose(0, 1), expected)
    for sample in range(5):
        for each in (layer, other):
            torch.testing.assert_close(each(x[:, sample]), expected[:, sample])
    longer = layer(x, n_steps=11)
    assert longer.shape == (11, 5, 2)
    torch.testing.assert_close(longer[:7], expected)
    counts = (x > 0.5).to(torch.uint8)
    assert torch.equal(layer(counts), layer(counts.float()))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: DelayedLinear(0, 2, 3), "in_features 0 is impossible; give 1 or more"),
        (lambda: DelayedLinear(2, 2, -1), "max_delay -1 is impossible"),
        (lambda: DelayedLinear(2, 2, 3, 0), "taps 0 is impossible"),
        (lambda: DelayedLinear(2, 2, 2.5), "max_delay 2.5 is no whole number; give an int"),
        (lambda: DelayedLinear(2, 2, 3, 2.0), "taps 2.0 is no whole number"),
        (lambda: DelayedLinear(2, 2.0, 3), "out_features 2.0 is no whole number"),
        (lambda: DelayedLinear(2, 2, 3, 2, delays="none"), "taps 2 would have no effect with delays 'none'"),
        (lambda: DelayedLinear(2, 2, 3, 3, delays="dense"), "taps 3 would have no effect with delays 'dense'"),
        (lambda: DelayedLinear(2, 2, 3, sparsity=1.0), "sparsity 1.0 is impossible"),
        (lambda: DelayedLinear(2, 2, 3, interpolation="box"), "interpolation 'box' is unknown; choose one of gauss"),
        (lambda: DelayedLinear(2, 2, 3, dale=True), "dale True needs taps of fixed sign"),
        (lambda: DelayedLinear(2, 2, 3, 5, delays="fixed-random", rewiring="rigl"), "taps 5: as many different"),
        (lambda: DelayedLinear(2, 2, 3)(torch.rand(4, 1, 3)), r"input of shape \(4, 1, 3\).* takes \(time, batch, 2\)"),
        (lambda: DelayedLinear(2, 2, 3)(torch.rand(2)), r"input of shape \(2,\)"),
        (
            lambda: DelayedLinear(2, 2, 3)(torch.rand(4, 1, 2).double()),
            "input of torch.float64 for weights of torch.fl",
        ),
    ],
)
def test_what_cannot_be_is_named(make, text):
    with pytest.raises(ModelError, match=text):
        make()


@pytest.mark.parametrize("form", ["auto", "direct", "fft", "staged", "windowed", "events"])
@pytest.mark.parametrize(("steps", "n_steps"), [(6, 0), (6, -1), (0, None), (0, 5)])
def test_a_run_without_steps_is_refused_in_every_form(steps, n_steps, form):
    layer = DelayedLinear(3, 2, max_delay=4, convolution=form).eval()
    with pytest.raises(ModelError, match=rf"of an input of {steps} steps: .* returns 1 step or more"):
        layer(torch.zeros(steps, 2, 3), n_steps)
    assert layer(torch.zeros(6, 0, 3), 1).shape == (1, 0, 2)


def test_a_delay_exists_where_a_tap_has_it():
    shapes = {"synapse": (2, 3, 2), "presynaptic": (1, 3, 2), "postsynaptic": (2, 1, 2)}
    for delays_per, shape in shapes.items():
        layer = DelayedLinear(3, 2, 4, 2, sparsity=0.9, delays_per=delays_per)
        layer.mask.zero_()
        layer.mask[1, 2, 0] = True
        expected = torch.zeros(shape, dtype=torch.bool)
        expected[-1, -1, 0] = True
        assert torch.equal(layer.existing_delays(), expected)
    assert bool(DelayedLinear(3, 2, 4).existing_delays().all())


def test_copies_and_pickles_are_the_layer():
    fresh, model = DelayedLinear(3, 2, 4), trained(model_of_ones_own(), steps=8)[1]
    x = torch.rand(9, 2, 6)
    for duplicate in (copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))):
        assert duplicate(fresh).sigma is UNSET
        other = duplicate(model)
        assert torch.equal(other(x), model(x))
        assert [layer.sigma for layer in delayed_layers(other)] == [layer.sigma for layer in delayed_layers(model)]
        with torch.no_grad():
            delay_parameters(other)[0].zero_()
        assert not torch.equal(delay_parameters(other)[0], delay_parameters(model)[0])
    stored = model_of_ones_own()
    stored.load_state_dict(model.state_dict())
    assert torch.equal(stored.eval()(x), model.eval()(x))


@pytest.mark.parametrize("form", ["auto", "direct", "fft", "staged", "windowed", "events"])
def test_autocast_leaves_its_numbers_alone(form):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), DelayedLinear(6, 5, 7, 2, convolution=form))
    model[2].sigma = 1.5
    x = torch.rand(10, 3, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        given = model[1](model[0](x))
        out = model[2](given)
        loss = out.square().mean()
    loss.backward()
    assert given.dtype == torch.bfloat16
    assert out.dtype == torch.float32
    gradients = [parameter.grad.clone() for parameter in model[2].parameters()]
    model.zero_grad()
    expected = model[2](given.detach().float())
    expected.square().mean().backward()
    assert torch.equal(out, expected)
    for ours, parameter in zip(gradients, model[2].parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad, rtol=1e-5, atol=1e-7)


def test_delays_and_weights_are_all_that_is_learned_each_once():
    model = nn.Sequential(
        DelayedLinear(4, 3, 5, bias=True), nn.BatchNorm1d(3), DelayedLinear(3, 2, 5, delays="fixed-random"),
        DelayedLinear(2, 2, 5, delays="dense"),
    )  # fmt: skip
    assert [id(delay) for delay in delay_parameters(model)] == [id(model[0].delay)]
    both = [id(each) for each in (*delay_parameters(model), *weight_parameters(model))]
    assert sorted(both) == sorted(id(each) for each in model.parameters() if each.requires_grad)


def test_a_delay_that_layers_share_is_one_parameter():
    first, second = DelayedLinear(3, 3, 4), DelayedLinear(3, 3, 4)
    second.delay = first.delay
    assert [id(each) for each in delay_parameters(nn.Sequential(first, second))] == [id(first.delay)]


@pytest.mark.filterwarnings("ignore")  # of what PyTorch's compiler says of itself
def test_layers_within_a_compiled_module_compute_what_they_do_alone():
    torch.manual_seed(0)
    model = nn.Sequential(
        DelayedLinear(4, 6, 9, convolution="windowed"), LIF(2.0, 0.3, recurrent=DelayedLinear(6, 6, 3)),
        DelayedLinear(6, 2, 9), LeakyReadout(),
    )  # fmt: skip
    SigmaSchedule(model, epochs=5)
    x = (torch.rand(20, 3, 4) < 0.3).float()
    compiled = torch.compile(model, backend="eager")
    results = []
    for run in (model, compiled, compiled):
        out = run(x)
        results.append([out, *torch.autograd.grad(out.square().sum(), list(model.parameters()))])
    for ours, expected in zip([*results[1], *results[2]], [*results[0], *results[0]], strict=True):
        assert torch.equal(ours, expected)


def train_as_a_user_does(joined, rank=0, size=1):
    """One of `size` processes, each with its share of the batch; joined: its network, or that joined to the others'."""
    torch.manual_seed(4)
    x, wanted = (torch.rand(12, 4, 6) < 0.4).double(), torch.randn(12, 4, 3).double()
    share = slice(rank * 4 // size, (rank + 1) * 4 // size)
    groups = [{"params": weight_parameters(joined)}, {"params": delay_parameters(joined), "lr": 0.5}]
    optimizer = torch.optim.Adam(groups, lr=0.02)
    schedule = SigmaSchedule(joined, epochs=10, single_taps_from=7)
    for _ in range(10):
        optimizer.zero_grad()
        (joined(x[:, share]) - wanted[:, share]).square().mean().backward()
        optimizer.step()
        schedule.step()
    joined.eval()(x[:, share])


SCRIPT = """
import sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from test_delayed_linear import model_of_ones_own, train_as_a_user_does

dist.init_process_group("gloo")
model, rank = model_of_ones_own().double(), dist.get_rank()
train_as_a_user_does(DistributedDataParallel(model, find_unused_parameters=True), rank, dist.get_world_size())
if rank == 0:
    torch.save(model.state_dict(), sys.argv[1])
dist.destroy_process_group()
"""


def test_distributed_data_parallel_trains_it_as_one_process_does(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [str(tmp_path / "script.py"), str(tmp_path / "two.pt")]
    path = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    alone = model_of_ones_own().double()
    train_as_a_user_does(alone)
    torch.testing.assert_close(torch.load(tmp_path / "two.pt"), alone.state_dict(), rtol=1e-7, atol=1e-9)
    assert not torch.equal(alone.first.delay, model_of_ones_own().double().first.delay)


def test_the_example_of_the_documentation_runs():
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    _, _, after = page.partition("## In a module and loop of one's own")
    lines = after.partition("\n## ")[0].splitlines()
    code = "\n".join(line.removeprefix("    ") for line in lines if line.startswith("    ") or not line)
    names = {}
    exec(code, names)
    assert names["scores"].shape == (16, 10)
    assert names["model"].hidden.sigma is None
