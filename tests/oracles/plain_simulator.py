"""The integer contract in plain Python integers, from a golden vector's JSON alone; shares nothing with delaytool."""

from __future__ import annotations

import numpy as np

TURN = 1 << 24


def simulate(network: dict, frames: np.ndarray) -> dict[str, np.ndarray]:
    """frames (sample, step, channel) to spikes<l>, u<l>, v<l> (sample, step, neuron) of each layer l."""
    out = {
        f"{name}{index}": np.zeros((len(frames), network["n_steps"], layer["n_neurons"]), np.int64)
        for index, layer in enumerate(network["layers"])
        for name in ("spikes", "u", "v")
    }
    for sample, given in enumerate(frames):
        for key, values in _sample(network, given).items():
            out[key][sample] = values
    return out


def _sample(network: dict, given: np.ndarray) -> dict[str, list[list[int]]]:
    layers = network["layers"]
    arriving: dict[tuple[int, int, int], int] = {}  # (step, layer, neuron): charge
    u = [[0] * layer["n_neurons"] for layer in layers]
    v = [[0] * layer["n_neurons"] for layer in layers]
    record: dict[str, list[list[int]]] = {}
    for step in range(network["n_steps"]):
        sent = [given[step].tolist()]
        for index, layer in enumerate(layers):
            spikes = [0] * layer["n_neurons"]
            for neuron in range(layer["n_neurons"]):
                charge = arriving.pop((step, index, neuron), 0)
                current = _kept(u[index][neuron], 4095 - layer["du"]) + 64 * charge
                if current > TURN // 2:
                    current -= TURN
                if current <= -TURN // 2:
                    current += TURN
                membrane = _kept(v[index][neuron], 4096 - layer["dv"]) + current + layer["bias"][neuron]
                membrane = max(-TURN // 2 + 1, min(TURN // 2 - 1, membrane))
                spikes[neuron] = int(membrane > 64 * layer["threshold"])
                u[index][neuron], v[index][neuron] = current, 0 if spikes[neuron] else membrane
            sent.append(spikes)
            for name, values in (("spikes", spikes), ("u", u[index]), ("v", v[index])):
                record.setdefault(f"{name}{index}", []).append(list(values))
        for index, layer in enumerate(layers):
            for group in layer["synapses"]:
                each = zip(group["target"], group["pre"], group["weight"], group["delay"], strict=True)
                for target, pre, weight, delay in each:
                    value = sent[group["source"]][pre]
                    if value:
                        key = (step + 1 + delay, index, target)
                        arriving[key] = arriving.get(key, 0) + value * weight * 2 ** group["exponent"]
    return record


def _kept(state: int, share: int) -> int:
    """state * share / 4096, rounded toward zero."""
    magnitude = abs(state) * share // 4096
    return magnitude if state >= 0 else -magnitude
