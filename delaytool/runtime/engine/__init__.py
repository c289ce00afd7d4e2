"""The fast exact engine: `run` gives the reference's bits. Two methods, by spikes and by synapses; see `run.py`."""

from __future__ import annotations

from delaytool.runtime.engine.record import Record
from delaytool.runtime.engine.run import METHODS, EngineTrace, chosen_method, run

__all__ = ["METHODS", "EngineTrace", "Record", "chosen_method", "run"]
