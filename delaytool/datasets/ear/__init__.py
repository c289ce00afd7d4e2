"""The inner ear behind SHD and SSC (Cramer et al. 2020): recordings and live sound to spikes."""

from __future__ import annotations

from delaytool.contract.ear import EarModel
from delaytool.datasets.ear.ear import ear_spikes
from delaytool.datasets.ear.live import LiveEar

__all__ = ["EarModel", "LiveEar", "ear_spikes"]
