"""The independent simulator against the backends: kept cases, the edges, and that the campaign would notice a fault."""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from campaign import agreement, backends, package
from campaign.edge_cases import edge_cases
from campaign.generator import random_case
from campaign.simulator import Description, Group, Layer, simulate

from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import SparseSynapses
from delaytool.errors import NetworkError

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.h5"))
# Seeds of random networks that once failed on some backend (or killed a mutant that all others let pass).
KEPT_SEEDS = (0, 3, 11)


def description_of(network: IntegerNetwork) -> Description:
    """A network of the package in the simulator's plain numbers."""
    layers = []
    for layer in network.layers:
        groups = []
        for group in layer.synapses:
            synapses = zip(*(array.tolist() for array in group.listed()), strict=True)
            groups.append(Group(group.source, int(group.exponent), tuple(synapses)))
        numbers = (int(value) for value in (layer.n_neurons, layer.du, layer.dv, layer.threshold))
        bias = tuple(int(value) for value in layer.bias_mantissa)
        layers.append(Layer(*numbers, bias, int(layer.bias_exponent), tuple(groups)))
    encoding = network.encoding
    return Description(encoding.n_channels, "count", encoding.max_payload, network.n_steps, tuple(layers))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_simulator_reproduces_what_lava_recorded(path: Path) -> None:
    network = IntegerNetwork.load(path)
    description = description_of(network)
    with h5py.File(path) as file:
        frames = file["extensions/golden/frames"][()]
        for sample in range(len(frames)):
            run = simulate(description, frames[sample].tolist())
            for index in range(len(network.layers)):
                for name in ("u", "v", "spikes"):
                    recorded = file[f"extensions/golden/{name}/{index}"][sample]
                    assert np.array_equal(np.array(getattr(run, name)[index]), recorded), (name, index)


@pytest.mark.parametrize("seed", KEPT_SEEDS)
def test_kept_seeds(seed: int) -> None:
    result = agreement.agree([seed], backends.IN_PROCESS)
    assert not result.mismatches
    assert sum(result.values.values()) or result.refused_by_contract


def test_the_widths_of_the_engines_numbers() -> None:
    for description, frames in edge_cases():
        network = package.network_of(description)
        array = package.frames_of(description, frames)
        want = backends.expected(network, array, [simulate(description, sample) for sample in frames])
        for name, run in backends.IN_PROCESS.items():
            compared, found = backends.differences(want, run(network, array, 0))
            assert compared
            assert not found, (name, description, found[:3])


def test_a_fault_in_a_backend_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One value of one neuron at one step is enough."""

    def faulty(network, frames, seed):
        outcome = backends._reference(network, frames, seed)
        outcome.v[0][0, -1, -1] += 1
        return outcome

    monkeypatch.setitem(backends.IN_PROCESS, "reference", faulty)
    seed = next(seed for seed in range(100) if agreement.case_of(seed) is not None)
    result = agreement.agree([seed], ["reference", "engine event"])
    assert len(result.mismatches) == 1
    assert f"seed {seed}: reference: v of layer 0 at" in result.mismatches[0]


def test_a_backend_that_compared_nothing_is_named() -> None:
    result = agreement.agree([], backends.IN_PROCESS)
    assert result.missing(backends.IN_PROCESS) == list(backends.IN_PROCESS)
    assert result.missing_traits() == list(agreement.NEEDED_TRAITS)


def test_a_seed_names_a_network_for_good() -> None:
    """The generator's numbers are in kept seeds and in reports, so they must not move."""
    made = repr([random_case(seed, for_lava) for seed in range(30) for for_lava in (False, True)])
    assert hashlib.sha256(made.encode()).hexdigest()[:16] == "2e0e64a0e9e2184d"


def test_the_description_of_a_network_is_its_own_inverse() -> None:
    for seed in range(6):
        description, _ = random_case(seed)
        try:
            network = package.network_of(description)
        except NetworkError:
            continue
        again = package.network_of(description_of(network))
        for layer, other in zip(network.layers, again.layers, strict=True):
            assert layer.n_synapses == other.n_synapses
            assert all(isinstance(group, SparseSynapses) for group in other.synapses)
