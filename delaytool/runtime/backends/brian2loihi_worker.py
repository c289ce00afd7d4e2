# pyright: reportMissingImports=false
"""Runs jobs in brian2-loihi, under whatever Python has it: a script of its own that needs numpy and brian2-loihi alone.

Usage: brian2loihi_worker.py JOB_FOLDER ...; a job is job.npz, and the worker writes trace.npz beside it.

job.npz holds `frames` (sample, step, channel) of 0 and 1; `neurons` (layer, 4): size, du, dv, threshold; `connections`
(connection, 4): source population (0 the input), layer, delay, exponent; and for each connection c its synapses'
`pre<c>`, `target<c>`, `weight<c>`. trace.npz holds `spikes<l>`, `u<l>`, `v<l>` (sample, step, neuron) of each layer.
"""

from __future__ import annotations

import os
import sys

try:
    import numpy as np
    from brian2 import BrianLogger, ms, prefs
    from brian2_loihi import (
        LoihiNetwork,
        LoihiNeuronGroup,
        LoihiSpikeGeneratorGroup,
        LoihiSpikeMonitor,
        LoihiStateMonitor,
        LoihiSynapses,
        synapse_sign_mode,
    )
except ImportError as error:
    sys.exit(f"delaytool-brian2loihi: {error}")


def run_job(folder):
    with np.load(os.path.join(folder, "job.npz")) as job:
        frames, neurons, connections = job["frames"], job["neurons"], job["connections"].tolist()
        synapses = [
            [job[f"{name}{number}"] for name in ("pre", "target", "weight")] for number in range(len(connections))
        ]
    n_steps = frames.shape[1]
    given = LoihiSpikeGeneratorGroup(frames.shape[2], [], [])
    layers = [
        LoihiNeuronGroup(size, refractory=1, threshold_v_mant=threshold, decay_v=dv, decay_I=du + 1)
        for size, du, dv, threshold in neurons.tolist()
    ]
    populations = [given, *layers]
    joined = []
    for number, (source, layer, delay, exponent) in enumerate(connections):
        pre, target, weight = synapses[number]
        connection = LoihiSynapses(
            populations[source], layers[layer], delay=delay, w_exp=exponent, sign_mode=synapse_sign_mode.MIXED
        )
        connection.connect(i=pre, j=target)
        connection.w = weight
        joined.append(connection)
    fired = [LoihiSpikeMonitor(layer) for layer in layers]
    # Monitors and synapses share a slot of brian2's schedule; order 1 is after the synapses have added their charge.
    currents = [LoihiStateMonitor(layer, "I", order=1) for layer in layers]
    membranes = [LoihiStateMonitor(layer, "v") for layer in layers]
    network = LoihiNetwork(given, *layers, *joined, *fired, *currents, *membranes)
    network.store()
    shapes = [(len(frames), n_steps, size) for size in neurons[:, 0]]
    trace = {
        f"{name}{index}": np.zeros(shape, np.int64)
        for index, shape in enumerate(shapes)
        for name in ("spikes", "u", "v")
    }
    for sample, frame in enumerate(frames):
        network.restore()
        step, channel = np.nonzero(frame[:-1])
        given.set_spikes(channel, (step + 1) * ms)  # a value sent at t arrives at t + 1 + delay
        network.run(n_steps)
        for index in range(len(layers)):
            when = np.rint(np.asarray(fired[index].t)).astype(int)  # the emulator gives whole milliseconds
            trace[f"spikes{index}"][sample, when, np.asarray(fired[index].i)] = 1
            for name, values in (("u", currents[index].I), ("v", membranes[index].v)):
                values = np.asarray(values).T
                trace[f"{name}{index}"][sample] = values
                if not np.array_equal(trace[f"{name}{index}"][sample], values):
                    sys.exit(f"ValueError: {name} of layer {index} is not whole in sample {sample}")
    np.savez(os.path.join(folder, "trace.npz"), **trace)


def main(folders):
    prefs.codegen.target = "numpy"  # nothing to compile, so no compiler is needed
    BrianLogger.log_level_error()
    for folder in folders:
        run_job(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
