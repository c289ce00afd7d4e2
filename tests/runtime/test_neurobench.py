"""NeuroBench's metrics: by hand, and equal to the `neurobench` package where it is installed."""

from __future__ import annotations

import importlib.util
import itertools

import numpy as np
import pytest

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, SparseSynapses
from delaytool.runtime import reference
from delaytool.runtime.neurobench import Operations, as_dict, count_operations, static_metrics

HAS_NEUROBENCH = importlib.util.find_spec("neurobench") is not None


def network(*, max_count: int | None = None, delay: int = 0) -> IntegerNetwork:
    """3 channels, 2 hidden neurons in a matrix with one weight 0, a readout of 1 in a list of 3, two on one pair."""
    hidden = DenseSynapses(0, np.array([[90, 90, 0], [90, 90, 90]]), np.full((2, 3), delay))
    listed = SparseSynapses(1, 1, 2, np.zeros(3, int), np.array([0, 0, 1]), np.array([4, 6, 8]), np.array([0, 2, 0]))
    layers = (
        IntegerLayer("hidden", 2, (hidden,), dv=4096, threshold=100),
        IntegerLayer("readout", 1, (listed,), dv=1024, threshold=1000, bias_mantissa=np.array([40])),
    )
    values = {"values": "binary"} if max_count is None else {"values": "count", "max_count": max_count}
    return IntegerNetwork(InputEncoding(3, **values), layers, Readout("sum", 1.0, 0, 6), 6)


def test_by_hand() -> None:
    """Step 0: channels 0 and 1; step 2: channel 2. Hidden neurons see 180 and 180 > 100, then 0 and 90."""
    frames = np.zeros((1, 4, 3), np.uint8)
    frames[0, 0, :2] = 1
    frames[0, 2, 2] = 1
    made = network()
    trace = reference.run(made, frames)
    assert [int(layer.sum()) for layer in trace.spikes] == [2, 0]
    operations = count_operations(made, frames, trace)
    assert operations.effective_acs.tolist() == [2 * 2 + 1 + 2 + 1]  # two inputs to 2, one to 1; 2 and 1 synapses on
    assert operations.effective_macs.tolist() == [0]
    assert operations.dense.tolist() == [(6 + 3) * 6]  # more synapses than pairs to the readout
    assert operations.activations.tolist() == [3 * 6]
    assert operations.activation_sparsity == pytest.approx(1 - 2 / 18)
    static = static_metrics(made)
    # Matrix: 6 weights, no delays. List: 3 x (weight, target, source, delay). One bias. 3 x (u, v); 2 steps of delay.
    assert static.parameter_bytes == 4 * (6 + 3 * 4 + 1)
    assert static.state_bytes == 4 * 6
    assert static.delay_buffer_bytes == 4 * 2
    assert static.connection_sparsity == round(1 - (5 + 2) / (6 + 2), 4)
    record = as_dict(static, operations)
    assert record["footprint"] == 4 * 27
    assert static_metrics(network(delay=3)).delay_buffer_bytes == 4 * (3 * 2 + 2)


def test_membranes_that_move_by_hand() -> None:
    made = network()
    silent = np.zeros((2, 4, 3), np.uint8)
    silent[1, 0, 2] = 1
    operations = count_operations(made, silent, reference.run(made, silent))
    # The readout's bias moves it in every step. Hidden 1 gets 90 in step 1 and, with dv 4096, has lost it in step 2.
    assert operations.membrane_updates.tolist() == [3 + 5, 3 + 5 + 2]


def test_counted_input_multiplies() -> None:
    frames = np.zeros((1, 4, 3), np.uint8)
    frames[0, 0, 0] = 3
    made = network(max_count=3)
    operations = count_operations(made, frames, reference.run(made, frames))
    assert operations.effective_macs.tolist() == [2]
    assert operations.effective_acs.tolist() == [3]


def test_parts_of_samples_join() -> None:
    frames = (np.random.default_rng(0).random((5, 4, 3)) < 0.5).astype(np.uint8)
    made = network()
    parts = [count_operations(made, part, reference.run(made, part)) for part in (frames[:2], frames[2:])]
    whole = count_operations(made, frames, reference.run(made, frames))
    assert as_dict(static_metrics(made), Operations.joined(parts)) == as_dict(static_metrics(made), whole)


@pytest.mark.skipif(not HAS_NEUROBENCH, reason="the package neurobench (2.3) is not installed")
@pytest.mark.parametrize("max_count", [None, 7])
def test_equal_to_the_package_without_delays(max_count: int | None) -> None:
    torch = pytest.importorskip("torch")
    from neurobench.hooks.layer import LayerHook
    from neurobench.metrics.static import ConnectionSparsity, Footprint
    from neurobench.metrics.workload import ActivationSparsity, MembraneUpdates, SynapticOperations

    rng = np.random.default_rng(1)
    sizes, steps, samples = [6, 9, 4], 12, 5
    layers = []
    for index, (n_in, n_out) in enumerate([(6, 9), (9, 4)]):
        weight = 2 * rng.integers(-40, 90, (n_out, n_in))
        weight[rng.random(weight.shape) < 0.3] = 0
        group = DenseSynapses(index, weight, np.zeros(weight.shape, int))
        layers.append(IntegerLayer(f"layer{index}", n_out, (group,), dv=700, threshold=120))
    values = {"values": "binary"} if max_count is None else {"values": "count", "max_count": max_count}
    made = IntegerNetwork(InputEncoding(6, **values), tuple(layers), Readout("sum", 1.0, 0, steps), steps)
    frames = (rng.random((samples, steps, 6)) < 0.4) * rng.integers(1, (max_count or 1) + 1, (samples, steps, 6))
    frames = frames.astype(np.uint8)
    if max_count is not None:
        frames[0, :, 0] = max_count  # so that no step looks binary to NeuroBench, which goes by the values
    trace = reference.run(made, frames)
    static, operations = static_metrics(made), count_operations(made, frames, trace)

    modules = torch.nn.Sequential(*(torch.nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(sizes)))
    for module, layer in zip(modules, made.layers, strict=True):
        module.weight.data = torch.tensor(layer.synapses[0].weight, dtype=torch.float32)
        for state in ("u", "v"):
            module.register_buffer(state, torch.zeros(layer.n_neurons, dtype=torch.int32))

    class Neurons:
        """What NeuroBench's hook of a spiking layer keeps, from our trace."""

        def __init__(self, index: int) -> None:
            v = torch.from_numpy(trace.v[index])
            self.layer = self
            self.activation_outputs = list(torch.from_numpy(trace.spikes[index]).float().unbind(1))
            self.post_fire_mem_potential = list(v.unbind(1))
            self.pre_fire_mem_potential = [torch.zeros_like(v[:, 0]), *v.unbind(1)[:-1]]

    class Model:
        activation_hooks = [Neurons(0), Neurons(1)]  # noqa: RUF012
        connection_hooks = [LayerHook(module) for module in modules]  # noqa: RUF012

        def __net__(self):
            return modules

    model = Model()
    inputs = [frames.astype(np.float32), trace.spikes[0].astype(np.float32)]
    with torch.no_grad():
        for step in range(steps):
            for module, given in zip(modules, inputs, strict=True):
                module(torch.from_numpy(given[:, step]))
    data = (torch.from_numpy(frames), None)
    assert Footprint()(model) == static.footprint_bytes
    assert ConnectionSparsity()(model) == pytest.approx(static.connection_sparsity)
    assert ActivationSparsity()(model, None, data) == pytest.approx(operations.activation_sparsity)
    assert MembraneUpdates()(model, None, data) == pytest.approx(operations.membrane_updates.mean())
    theirs = {name: float(value) for name, value in SynapticOperations()(model, None, data).items()}
    assert theirs == pytest.approx(as_dict(static, operations)["synaptic_operations"])


def test_pairs_that_several_groups_join_count_once() -> None:
    """Two by two neurons, every pair joined: in one group, or spread over two from the same source."""
    full = np.full((2, 2), 90)
    zero = np.zeros((2, 2), int)
    upper, lower = full * [[1, 1], [0, 0]], full * [[0, 0], [1, 1]]
    found = []
    for weights in ((full,), (upper, lower)):
        hidden = IntegerLayer("hidden", 2, tuple(DenseSynapses(0, weight, zero) for weight in weights), 4096, 100)
        readout = IntegerLayer("readout", 2, (DenseSynapses(1, full, zero), DenseSynapses(0, full, zero)), 1024, 1000)
        made = IntegerNetwork(InputEncoding(2, values="binary"), (hidden, readout), Readout("sum", 1.0, 0, 6), 6)
        frames = np.ones((1, 4, 2), np.uint8)
        operations = count_operations(made, frames, reference.run(made, frames))
        found.append((static_metrics(made).connection_sparsity, operations.dense.tolist()))
    assert found == [(0.0, [3 * 4 * 6])] * 2
