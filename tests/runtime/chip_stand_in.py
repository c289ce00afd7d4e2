"""Run a network as `lava_worker.chip` would on a chip, in simulation; test_loihi.py starts it, it is not a test.

    python chip_stand_in.py PACKAGE FOLDER

Lays stand-ins for the extension's adapters (one step late each, as `Host` assumes) beside Lava, and records to
which host the runner would connect.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

ADAPTERS = """
import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Adapter(AbstractProcess):
    def __init__(self, shape, num_message_bits=0):
        super().__init__(shape=shape)
        self.inp = InPort(shape=shape)
        self.out = OutPort(shape=shape)


@implements(proc=Adapter, protocol=LoihiProtocol)
@requires(CPU)
class PyAdapter(PyLoihiProcessModel):
    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.held = np.zeros(proc_params["shape"], np.int32)

    def run_spk(self):
        self.out.send(self.held)
        self.held = self.inp.recv().astype(np.int32)


PyToNxAdapter = NxToPyAdapter = Adapter
"""


def main(package: str, folder: str) -> None:
    spec = importlib.util.spec_from_file_location(
        "delaytool", f"{package}/__init__.py", submodule_search_locations=[package]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules["delaytool"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["delaytool"])
    from delaytool.runtime.backends.lava_worker import shim, worker

    shim.apply()
    adapters = Path(folder) / "adapters"
    adapters.mkdir()
    (adapters / "adapters_stand_in.py").write_text(ADAPTERS, encoding="utf-8")
    sys.path.append(str(adapters))
    import adapters_stand_in
    import lava.proc
    from lava.magma.core import run_configs
    from lava.utils import loihi

    run_configs.Loihi2HwCfg = run_configs.Loihi2SimCfg  # the real one looks for models that only the extension has
    embedded_io = types.ModuleType("lava.proc.embedded_io")
    embedded_io.spike = adapters_stand_in  # type: ignore[attr-defined]
    sys.modules["lava.proc.embedded_io"] = embedded_io
    lava.proc.embedded_io = embedded_io
    loihi.is_installed = lambda: True
    loihi.use_ethernet_host = lambda **options: print("ethernet", options["host_address"], options["loihi_gen"].name)
    loihi.use_slurm_host = lambda **options: print("slurm", options["board"], options["partition"])
    options = Path(folder, "options.json").read_text(encoding="utf-8")
    worker.main([f"loihi2 {options}", folder])


if __name__ == "__main__":
    main(*sys.argv[1:])
