"""NIR's equations stepped by forward Euler in float64: an interpreter of its own, from NIR's node documentation."""

from __future__ import annotations

import numpy as np

DELAYING = ("LIF", "CubaLIF", "IF")


def run(graph, frames: np.ndarray, dt: float, forced: dict[str, np.ndarray] | None = None) -> dict[str, dict]:
    """frames (step, channel) through a NIRGraph: {neuron node: {"v": (step, neuron), "spikes": ..., "margin": ...}}.

    forced   spikes (step, neuron) that nodes send, and reset with, instead of their own
    margin   v before the reset minus the threshold

    Values sent through a Delay arrive so many steps later; all other nodes act within the step. Spiking nodes that
    receive from each other without a Delay between them are not supported.
    """
    forced = forced or {}
    nodes, n_steps = graph.nodes, len(frames)
    sources = {name: [before for before, after in graph.edges if after == name] for name in nodes}
    state = {name: {} for name in nodes}
    outputs: dict[str, np.ndarray] = {}
    record = {
        name: {key: np.zeros((n_steps, len(node.v_threshold))) for key in ("v", "spikes", "margin")}
        for name, node in nodes.items()
        if type(node).__name__ in DELAYING
    }
    order = _order(nodes, sources)
    for step in range(n_steps):
        for name, node in nodes.items():  # what a Delay gives out now was put in earlier
            if type(node).__name__ == "Delay":
                wait = np.rint(np.asarray(node.delay) / dt).astype(int)
                past = state[name].setdefault("past", [])
                outputs[name] = np.array([past[step - w][k] if step >= w else 0.0 for k, w in enumerate(wait)])
        for name in order:
            node, kind = nodes[name], type(nodes[name]).__name__
            if kind == "Input":
                outputs[name] = frames[step].astype(np.float64)
                continue
            given = sum(outputs[before] for before in sources[name])
            if kind == "Linear":
                outputs[name] = node.weight @ given
            elif kind == "Affine":
                outputs[name] = node.weight @ given + node.bias
            elif kind == "LI":
                v = state[name].get("v", np.zeros_like(node.tau))
                outputs[name] = state[name]["v"] = v + dt / node.tau * (node.v_leak - v + node.r * given)
            elif kind in DELAYING:
                v, spikes, margin = _neurons(node, kind, state[name], given, dt, forced.get(name), step)
                outputs[name] = spikes
                record[name]["v"][step], record[name]["spikes"][step], record[name]["margin"][step] = v, spikes, margin
            elif kind == "Output":
                outputs[name] = given
            else:
                raise NotImplementedError(kind)
        for name, node in nodes.items():
            if type(node).__name__ == "Delay":
                state[name]["past"].append(sum(outputs[before] for before in sources[name]))
    return record


def _neurons(node, kind, kept, given, dt, forced, step):
    v = kept.get("v", np.zeros_like(node.v_threshold))
    if kind == "CubaLIF":
        current = kept.get("current", np.zeros_like(v))
        current = kept["current"] = current + dt / node.tau_syn * (-current + node.w_in * given)
        v = v + dt / node.tau_mem * (node.v_leak - v + node.r * current)
    elif kind == "LIF":
        v = v + dt / node.tau * (node.v_leak - v + node.r * given)
    else:
        v = v + dt * node.r * given
    margin = v - node.v_threshold
    spikes = (margin > 0).astype(np.float64) if forced is None else forced[step].astype(np.float64)
    kept["v"] = np.where(spikes > 0, node.v_reset, v)
    return kept["v"], spikes, margin


def _order(nodes, sources) -> list[str]:
    """Nodes such that each comes after what it receives from in the same step; Delays break circles and stand first."""
    done = {name for name, node in nodes.items() if type(node).__name__ == "Delay"}
    order: list[str] = []
    while len(done) < len(nodes):
        ready = [name for name in nodes if name not in done and all(before in done for before in sources[name])]
        if not ready:
            raise ValueError("a circle without a Delay")
        order += ready
        done |= set(ready)
    return order
