"""Run netx files in lava-dl's own netx reader; not a test, but the script that test_netx_in_lava_dl.py starts.

    python netx_in_lava_dl.py SHIM.py FOLDER ...

Each folder holds network.net and frames.npy (sample, step, channel); it gets spikes.npy (sample, step, neuron) of
the last layer. lava-dl pins torch and a dozen others that its netx does not use, so slayer and torch are stubbed.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import types

import numpy as np


def main(shim_path: str, folders: list[str]) -> None:
    spec = importlib.util.spec_from_file_location("shim", shim_path)
    assert spec is not None
    assert spec.loader is not None
    shim = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shim)
    shim.apply()
    stub_slayer()
    for folder in folders:
        samples = np.load(os.path.join(folder, "frames.npy"))
        path = os.path.join(folder, "network.net")
        np.save(os.path.join(folder, "spikes.npy"), np.stack([run_sample(path, frames) for frames in samples]))


def stub_slayer() -> None:
    """netx takes one function from slayer, for resonate-and-fire neurons, and annotates a helper with torch."""
    for name in ("lava.lib.dl.slayer", "lava.lib.dl.slayer.neuron", "lava.lib.dl.slayer.neuron.rf", "torch"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["lava.lib.dl.slayer.neuron.rf"].neuron_params = None  # type: ignore[attr-defined]
    sys.modules["torch"].tensor = None  # type: ignore[attr-defined]
    sys.modules["torch"].Tensor = type("Tensor", (), {})  # type: ignore[attr-defined]


def run_sample(path: str, frames: np.ndarray) -> np.ndarray:
    from lava.lib.dl.netx import hdf5
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    network = hdf5.Network(net_config=path)
    source = Source(data=frames.T.astype(np.int32))
    sink = Sink(shape=network.out.shape, buffer=len(frames))
    source.s_out.connect(network.inp)
    network.out.connect(sink.a_in)
    network.run(condition=RunSteps(num_steps=len(frames)), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    spikes = sink.data.get().T
    network.stop()
    return spikes.astype(np.int64)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
