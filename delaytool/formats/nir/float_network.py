"""The float graphs of other tools as plain layers: synapses with delays, and leaky neurons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from delaytool.errors import NetworkError

if TYPE_CHECKING:
    import nir

SECONDS_PER = {"s": 1.0, "ms": 1e-3}
FIRING = ("LIF", "CubaLIF", "IF")
SILENT = ("LI", "CubaLI")  # as readouts only: they never fire
# Times that are a whole number of steps are not quite so in floating point, which float32 widens.
WHOLE_WITHIN = 1e-5  # relative
SUPPORTED = ("Input", "Output", "Linear", "Affine", "Delay", *FIRING, *SILENT)


@dataclass(frozen=True)
class Branch:
    """Synapses from one population to a layer.

    weight   (n_out, n_in)
    delay    (n_out, n_in) steps, not always whole
    """

    weight: np.ndarray
    delay: np.ndarray


@dataclass(frozen=True)
class FloatLayer:
    """A layer whose membranes have a threshold of 1 and reset to 0: v <- v (1 - 1/tau) + I + bias.

    kind          of its NIR node
    forward       branches from the layer before; recurrent: from the layer to itself
    bias          (n_out,)
    tau           steps; infinite: no leak
    current_tau   steps; 1: no current filter
    """

    name: str
    kind: str
    forward: tuple[Branch, ...]
    recurrent: tuple[Branch, ...]
    bias: np.ndarray
    tau: float
    current_tau: float

    @property
    def n_neurons(self) -> int:
        return len(self.bias)


@dataclass(frozen=True)
class FloatNetwork:
    """Layers in order, the last one the readout.

    n_channels      width of the input
    delayed_everywhere   every branch waits at least one step: the delays are one step less in chip time
    """

    n_channels: int
    layers: tuple[FloatLayer, ...]
    delayed_everywhere: bool


def float_network(graph: nir.NIRGraph, *, time_step_ms: float, time_unit: str = "s") -> FloatNetwork:
    """Read a graph of Linear, Affine, Delay, LIF, CubaLIF and IF nodes, stepped by forward Euler.

    time_step_ms   length of a step, which NIR does not state
    time_unit      of the file's time constants and delays: 's' (NIR's own), 'ms', or 'step'

    Of a neuron node with step dt, the weights before it are multiplied by r dt / tau (r dt of an IF) and divided by
    v_threshold - so that thresholds become 1 -, those before a CubaLIF also by w_in dt / tau_syn; v_leak becomes the
    bias v_leak dt / tau. Delays are counted in steps.

    Raises NetworkError naming every node or value that is not supported: populations in another order
    than a chain (a layer may be recurrent), time constants that differ within a layer, a v_reset that is not 0,
    parameters that are NaN or infinite.
    """
    if time_unit not in (*SECONDS_PER, "step"):
        raise NetworkError(f"nir: time unit {time_unit!r} is unknown; choose 's', 'ms' or 'step'")
    reader = _Reader(graph, 1.0 if time_unit == "step" else time_step_ms / 1000 / SECONDS_PER[time_unit])
    return reader.network()


class _Reader:
    """One graph, walked from its neurons backwards. dt is the step in the file's unit of time."""

    def __init__(self, graph: nir.NIRGraph, dt: float) -> None:
        self.nodes: dict[str, Any] = dict(graph.nodes)
        self.edges = list(graph.edges)
        self.dt = dt

    def network(self) -> FloatNetwork:
        self._refuse_unknown()
        order = self._chain()
        populations = [self._single("Input"), *order]
        layers = [self._layer(name, populations[index]) for index, name in enumerate(order)]
        least = min(
            float(branch.delay.min(initial=np.inf, where=branch.weight != 0))
            for layer in layers
            for branch in (*layer.forward, *layer.recurrent)
        )
        n_channels = int(np.prod(self.nodes[populations[0]].input_type["input"]))
        return FloatNetwork(n_channels, tuple(layers), bool(least >= 1))

    def _refuse_unknown(self) -> None:
        unknown = [f"{name} ({self._kind(name)})" for name in sorted(self.nodes) if self._kind(name) not in SUPPORTED]
        if unknown:
            raise NetworkError(
                f"nir: these nodes are not supported: {', '.join(unknown)}; supported are {', '.join(SUPPORTED)}"
            )

    def _kind(self, name: str) -> str:
        return type(self.nodes[name]).__name__

    def _single(self, kind: str) -> str:
        found = [name for name in self.nodes if self._kind(name) == kind]
        if len(found) != 1:
            raise NetworkError(f"nir: the graph has {len(found)} {kind} nodes ({', '.join(found)}); one is supported")
        return found[0]

    def _before(self, name: str) -> list[str]:
        return [before for before, after in self.edges if after == name]

    def _chain(self) -> list[str]:
        """The neuron nodes from input to output; each receives from the one before it and perhaps from itself."""
        neurons = [name for name in self.nodes if self._kind(name) in (*FIRING, *SILENT)]
        sources = {name: {source for source, _ in self._paths(name)} for name in neurons}
        order: list[str] = []
        before = self._single("Input")
        while len(order) < len(neurons):
            following = [name for name in neurons if name not in order and before in sources[name]]
            if len(following) != 1:
                raise NetworkError(
                    f"nir: {before} goes into {len(following)} layers ({', '.join(sorted(following)) or 'none'}); "
                    "a chain of layers is supported, each of which may be recurrent"
                )
            name = following[0]
            others = sources[name] - {before, name}
            if others:
                raise NetworkError(
                    f"nir: {name} receives from {', '.join(sorted(others))} besides {before}; only the layer before it "
                    "and itself are supported"
                )
            order.append(name)
            before = name
        if not order:
            raise NetworkError("nir: the graph has no neurons; nothing can be trained or calibrated")
        ends = self._before(self._single("Output"))
        if ends != [order[-1]]:
            raise NetworkError(
                f"nir: the output comes from {', '.join(ends) or 'nothing'}, and must come from the last neurons "
                f"({order[-1]}), whose membranes are read out"
            )
        silent = [name for name in order[:-1] if self._kind(name) in SILENT]
        if silent:
            raise NetworkError(f"nir: {silent[0]} ({self._kind(silent[0])}) never fires and is not the last layer")
        return order

    def _paths(self, name: str) -> list[tuple[str, list[str]]]:
        """(population, nodes from it to the neurons, in order) of every way into a neuron node."""
        found = []
        pending: list[list[str]] = [[before] for before in self._before(name)]
        while pending:
            path = pending.pop()
            kind = self._kind(path[0])
            if kind in ("Input", *FIRING, *SILENT):
                found.append((path[0], path[1:]))
                continue
            if len(path) > len(self.nodes):
                raise NetworkError(f"nir: {path[0]} is in a circle without neurons")
            pending += [[before, *path] for before in self._before(path[0])]
        return found

    def _layer(self, name: str, before: str) -> FloatLayer:
        node, kind = self.nodes[name], self._kind(name)
        n_out = int(np.prod(node.input_type["input"]))
        factor, bias, tau, current_tau = self._neurons(name)
        forward: list[Branch] = []
        recurrent: list[Branch] = []
        for source, path in self._paths(name):
            branch, offset = self._branch(name, source, path, n_out)
            if offset.any() and current_tau > 1:
                raise NetworkError(
                    f"nir: {name}'s input has a bias (Affine), which {kind} filters with its current; a bias past the "
                    "current is supported: put it into v_leak"
                )
            bias = bias + offset * factor
            scaled = replace(branch, weight=branch.weight * factor[:, None])
            (recurrent if source == name else forward).append(scaled)
        return FloatLayer(name, kind, tuple(forward), tuple(recurrent), bias, tau, current_tau)

    def _branch(self, name: str, source: str, path: list[str], n_out: int) -> tuple[Branch, np.ndarray]:
        """One way into a layer: its weights and delays, and the bias of its Affine."""
        n_in = int(np.prod(self.nodes[source].output_type["output"]))
        linear = [step for step in path if self._kind(step) in ("Linear", "Affine")]
        if len(linear) != 1:
            raise NetworkError(
                f"nir: from {source} to {name} there are {len(linear)} Linear or Affine nodes; one is supported"
            )
        weight = self._values(linear[0], "weight")
        if weight.shape != (n_out, n_in):
            raise NetworkError(f"nir: {linear[0]}'s weight has shape {weight.shape}, not ({n_out}, {n_in})")
        at = path.index(linear[0])
        waits = [self._values(step, "delay").reshape(-1) / self.dt for step in path if step != linear[0]]
        before, after = sum(waits[:at], np.zeros(n_in)), sum(waits[at:], np.zeros(n_out))
        delay = _whole_where_near(after[:, None] + before[None, :])
        if (delay < 0).any() or not np.isfinite(delay).all():
            raise NetworkError(f"nir: from {source} to {name} a delay is {delay.min():g} steps; delays are 0 or more")
        bias = self._values(linear[0], "bias").reshape(-1) if self._kind(linear[0]) == "Affine" else np.zeros(n_out)
        return Branch(weight, delay), bias

    def _neurons(self, name: str) -> tuple[np.ndarray, np.ndarray, float, float]:
        """(what weights are multiplied by (n,), bias (n,), tau, current_tau) of a neuron node, in steps."""
        node, kind = self.nodes[name], self._kind(name)
        r = self._values(name, "r").reshape(-1)
        threshold = np.ones_like(r)
        if kind in FIRING:
            threshold = self._values(name, "v_threshold").reshape(-1)
            if (threshold <= 0).any():
                raise NetworkError(f"nir: {name}'s v_threshold is {threshold.min():g}; it must be above 0")
            if np.any(node.v_reset):
                worst = np.asarray(node.v_reset).reshape(-1)
                raise NetworkError(f"nir: {name}'s v_reset is {worst[worst != 0][0]:g}; a reset to 0 is supported")
        if kind == "IF":
            return r * self.dt / threshold, np.zeros_like(r), float("inf"), 1.0
        cuba = kind in ("CubaLIF", "CubaLI")
        tau = self._common(name, "tau_mem" if cuba else "tau")
        factor = r / tau / threshold
        bias = self._values(name, "v_leak").reshape(-1) / tau / threshold
        if not cuba:
            return factor, bias, tau, 1.0
        current_tau = self._common(name, "tau_syn")
        return factor * self._values(name, "w_in").reshape(-1) / current_tau, bias, tau, current_tau

    def _values(self, name: str, field: str) -> np.ndarray:
        """A node's parameter, finite numbers."""
        values = np.asarray(getattr(self.nodes[name], field), np.float64)
        strange = np.count_nonzero(~np.isfinite(values))
        if strange:
            raise NetworkError(
                f"nir: {name}'s {field} holds values that are NaN or infinite ({strange} of {values.size}); "
                "give finite numbers"
            )
        return values

    def _common(self, name: str, field: str) -> float:
        """A time constant in steps, which all neurons of the node share."""
        values = _whole_where_near(self._values(name, field).reshape(-1) / self.dt)
        if np.ptp(values) > 1e-6 * abs(values[0]):
            raise NetworkError(
                f"nir: {name}'s {field} differs within the layer ({values.min():g} to {values.max():g} steps); one "
                "time constant per layer is supported"
            )
        if not values[0] >= 1:
            raise NetworkError(
                f"nir: {name}'s {field} is {values[0]:g} steps, and forward Euler needs at least 1; check the step and "
                "the file's unit of time"
            )
        return float(values[0])


def _whole_where_near(steps: np.ndarray) -> np.ndarray:
    """Whole numbers of steps where only floating point keeps them from being whole."""
    whole = np.round(steps)
    return np.where(np.abs(steps - whole) <= WHOLE_WITHIN * np.abs(whole), whole, steps)
