"""An integer network as a NIR graph: its equations in NIR's nodes, its integers in the metadata."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from delaytool.contract.bounds import DECAY_UNITY, STATE_SHIFT
from delaytool.contract.layer import IntegerLayer
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import MissingExtraError
from delaytool.files import atomic_path

if TYPE_CHECKING:
    import nir

# The graph's metadata: the network file's bytes, the step in seconds, and how to integrate the equations.
NETWORK, STEP, READING = "delaytool_network", "delaytool_dt", "delaytool_reading"
HOW_TO_READ = (
    "Forward Euler with step delaytool_dt (s), first the synaptic current, then the membrane with the new current, "
    "then threshold and reset; a spike is 1 in its step. The integer contract also rounds decays toward zero, wraps "
    "the current and clips the membrane at 24 bits, which NIR cannot do: delaytool_network holds the integers (HDF5)."
)


def nir_package() -> Any:
    """The nir package. Raises MissingExtraError where it is not installed."""
    try:
        import nir
    except ModuleNotFoundError:
        raise MissingExtraError("the format 'nir'", "nir", "nir") from None
    return nir


def nir_graph(network: IntegerNetwork) -> nir.NIRGraph:
    """The network's equations without the integers' roundings, wrap and clip; and the integers in its metadata.

    NIR has no delayed synapse. From each population and for each delay d that occurs there is one
    `Delay((d + 1) dt)` - a spike sent at t arrives at t + 1 + d - and behind it, for each layer that receives it so,
    one `Linear` of the weights that have this delay, all summed into the layer's neurons:

        du = 4095           LIF: tau = dt 4096 / dv, r = tau / dt, v_leak = bias tau / dt
        du = 4095, dv = 0   IF: r = 1 / dt
        else                CubaLIF: also tau_syn = dt 4096 / (du + 1), w_in = tau_syn / dt
        du < 4095, dv = 0   LI (the current) and IF behind it

    Weights are `weight << (exponent + 6)`, so that v is in the contract's units; v_threshold = threshold << 6, and
    v_reset is 0.
    """
    nir = nir_package()
    dt = network.encoding.time_step_ms / 1000
    nodes: dict[str, Any] = {"input": nir.Input(np.array([network.encoding.n_channels]))}
    edges: list[tuple[str, str]] = []
    names = ["input", *_names(network)]
    enters = {}  # where a layer's input goes in
    for index, layer in enumerate(network.layers):
        enters[index] = _add_neurons(nir, nodes, edges, names[index + 1], layer, dt)
    for index, layer in enumerate(network.layers):
        connected = _add_synapses(nir, nodes, edges, network, index, names, enters[index], dt)
        offset = layer.bias if layer.dv == 0 else np.zeros(layer.n_neurons)
        if offset.any() or not connected:
            _add_offset(nir, nodes, edges, names[index + 1], enters[index], offset, network.encoding.n_channels, layer)
    if not any(before == "input" for before, _ in edges):  # NIR wants a way from the input
        layer = network.layers[0]
        zeros = np.zeros(layer.n_neurons)
        _add_offset(nir, nodes, edges, names[1], enters[0], zeros, network.encoding.n_channels, layer)
    nodes["output"] = nir.Output(np.array([network.n_classes]))
    edges.append((names[-1], "output"))
    metadata = {NETWORK: _file_bytes(network), STEP: dt, READING: HOW_TO_READ}
    return nir.NIRGraph(nodes, edges, metadata=metadata)


def write_nir(network: IntegerNetwork, path: str | os.PathLike[str]) -> None:
    """Write the network as a NIR file (HDF5), whole or not at all. Raises MissingExtraError without nir.

    write_nir(IntegerNetwork.load("network.h5"), "network.nir")
    """
    nir = nir_package()
    graph = nir_graph(network)
    with atomic_path(path) as temporary:
        nir.write(str(temporary), graph)


def _names(network: IntegerNetwork) -> list[str]:
    """Node names of the layers: their own where NIR can have them, and none is another node's."""
    own = [layer.name for layer in network.layers]
    plain = all(re.fullmatch(r"[\w-]+", name) for name in own) and not set(own) & {"input", "output"}
    made = re.compile(rf"({'|'.join(map(re.escape, ['input', *own]))})-(current|bias|delay\d+(-to(-.*)?)?)")
    plain = plain and not any(made.fullmatch(name) for name in own)
    return own if plain and len(set(own)) == len(own) else [f"layer{index}" for index in range(len(own))]


def _add_neurons(
    nir: Any, nodes: dict[str, Any], edges: list[tuple[str, str]], name: str, layer: IntegerLayer, dt: float
) -> str:
    """Add a layer's neurons and return the node that its input goes into."""

    def every(value: float) -> np.ndarray:
        return np.full(layer.n_neurons, value, np.float64)

    threshold = {"v_threshold": every(layer.threshold << STATE_SHIFT), "v_reset": every(0)}
    tau_syn = dt * DECAY_UNITY / (layer.du + 1)
    filtered = layer.du + 1 < DECAY_UNITY
    if layer.dv == 0:
        nodes[name] = nir.IF(r=every(1 / dt), **threshold)
        if not filtered:
            return name
        current = f"{name}-current"
        nodes[current] = nir.LI(tau=every(tau_syn), r=every(tau_syn / dt), v_leak=every(0))
        edges.append((current, name))
        return current
    tau = dt * DECAY_UNITY / layer.dv
    membrane = {"r": every(tau / dt), "v_leak": layer.bias * (tau / dt), **threshold}
    if filtered:
        nodes[name] = nir.CubaLIF(tau_syn=every(tau_syn), tau_mem=every(tau), w_in=every(tau_syn / dt), **membrane)
    else:
        nodes[name] = nir.LIF(tau=every(tau), **membrane)
    return name


def _add_synapses(
    nir: Any,
    nodes: dict[str, Any],
    edges: list[tuple[str, str]],
    network: IntegerNetwork,
    index: int,
    names: list[str],
    enters: str,
    dt: float,
) -> bool:
    """Add a layer's branches, one for each source and delay; False where it has none."""
    layer = network.layers[index]
    found = False
    for source in sorted({group.source for group in layer.synapses}):
        by_delay: dict[int, np.ndarray] = {}
        n_in = network.n_neurons_of(source)
        for group in layer.synapses:
            if group.source != source:
                continue
            target, pre, weight, delay = group.listed()
            for value in np.unique(delay):
                here = delay == value
                matrix = by_delay.setdefault(int(value), np.zeros((layer.n_neurons, n_in)))
                charge = weight[here].astype(np.int64) << (group.exponent + STATE_SHIFT)
                np.add.at(matrix, (target[here], pre[here]), charge)
        for steps, matrix in sorted(by_delay.items()):
            waiting = f"{names[source]}-delay{steps}"
            if waiting not in nodes:
                nodes[waiting] = nir.Delay(np.full(n_in, (steps + 1) * dt))
                edges.append((names[source], waiting))
            branch = f"{waiting}-to-{names[index + 1]}"
            nodes[branch] = nir.Linear(matrix)
            edges += [(waiting, branch), (branch, enters)]
            found = True
    return found


def _add_offset(
    nir: Any,
    nodes: dict[str, Any],
    edges: list[tuple[str, str]],
    name: str,
    enters: str,
    offset: np.ndarray,
    n_channels: int,
    layer: IntegerLayer,
) -> None:
    """A bias that no v_leak can hold, or the edge that a layer without synapses lacks: past the current, into v."""
    nodes[f"{name}-bias"] = nir.Affine(np.zeros((layer.n_neurons, n_channels)), offset.astype(np.float64))
    edges += [("input", f"{name}-bias"), (f"{name}-bias", name if offset.any() else enters)]


def _file_bytes(network: IntegerNetwork) -> np.ndarray:
    """The network file as (n_bytes,) uint8."""
    with tempfile.TemporaryDirectory(prefix="delaytool-nir-") as folder:
        path = Path(folder) / "network.h5"
        network.save(path)
        return np.frombuffer(path.read_bytes(), np.uint8)
