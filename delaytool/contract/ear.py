"""The inner ear that made spikes of recordings: its constants, each with its unit and source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from delaytool.contract.checks import built_from, check_range, exact_integer, finite_number, require, shown

# Counts up when the same settings come to make other spikes.
EAR_VERSION = 1
# Generous, so that no file can ask for memory or time without end.
MAX_CHANNELS = 65535
MAX_FIBERS = 255
MAX_DEAD_TIME_MS = 1000.0
MAX_SAMPLE_RATE = 384_000


@dataclass(frozen=True)
class EarModel:
    """The ear behind SHD and SSC: basilar membrane, hair cells, auditory nerve fibers, bushy cells.

    The defaults are the values that SHD and SSC were made with (B. Cramer, Y. Stradmann, J. Schemmel, F. Zenke 2020,
    IEEE TNNLS, doi 10.1109/TNNLS.2020.3044364, and its program LAUSCHER 1.0.1).

    n_channels          places along the membrane, evenly spaced from its base (high tones) to `apex`
    causal              False: the ear of SHD and SSC, which takes a recording as a whole. True: the form for live
                        sound, in which no spike depends on what comes later (`datasets/ear/live.py`)

    Level, value of LAUSCHER:
    level               RMS that a recording is brought to

    Basilar membrane (N. Sieroka, H. G. Dosch, A. Rupp 2006, J. Acoust. Soc. Am. 120, 297), in units of cm, g and s:
    apex                the last place, cm
    stiffness           C0 of S(x) = C0 exp(-alpha x) - a, g / (cm^2 s^2)
    stiffness_offset    a, g / (cm^2 s^2)
    decay               alpha, 1 / cm
    damping             delta of R(x) = delta sqrt(C0 m) exp(-alpha x / 2)
    mass                m, g / cm^2
    height              h of the canals, cm
    density             rho of the lymph, g / cm^3

    Hair cells (R. Meddis 1986, J. Acoust. Soc. Am. 79, 702; 1988, 83, 1056; the values of a fiber of high spontaneous
    rate in R. Meddis, M. J. Hewitt, T. M. Shackleton 1990, 87, 1813), rates in 1 / s:
    permeability, permeability_a, permeability_b    g, A, B of k(s) = g (s + A) / (s + A + B)
    replenishment       y, of the free pool from the factory
    loss                l, out of the cleft
    reuptake            r, from the cleft into the store
    reprocessing        x, from the store into the free pool
    firing              h: a fiber fires with probability h c dt per step, c the transmitter in the cleft
    pool                m, the free pool's size

    Nerve fibers and bushy cells (Cramer et al. 2020):
    fibers              nerve fibers per channel, all of which excite the channel's one bushy cell
    fiber_dead_time_ms  a fiber's refractory time
    tau_membrane_ms, tau_synapse_ms, dead_time_ms    of the bushy cell, a leaky integrate-and-fire neuron
    drive               of the bushy cell: charge of a spike of all fibers at once, 1 / s (value of LAUSCHER)

    Running level of the causal form (ours):
    live_level          what the loudest power of late is brought to, as an RMS; with 0.4 a word makes about as many
                        spikes as in the ear of SHD
    live_window_ms      time constant of that power
    live_release_s      time constant with which a loud past is forgotten
    live_floor          RMS below which sound is taken for silence and not amplified further
    """

    n_channels: int = 700
    causal: bool = False
    level: float = 0.3
    apex: float = 3.5
    stiffness: float = 1e9
    stiffness_offset: float = 3500.0
    decay: float = 3.0
    damping: float = 0.15
    mass: float = 0.05
    height: float = 0.1
    density: float = 1.0
    permeability: float = 2000.0
    permeability_a: float = 5.0
    permeability_b: float = 300.0
    replenishment: float = 5.05
    loss: float = 2500.0
    reuptake: float = 6580.0
    reprocessing: float = 66.3
    firing: float = 50000.0
    pool: float = 1.0
    fibers: int = 40
    fiber_dead_time_ms: float = 1.0
    tau_membrane_ms: float = 1.0
    tau_synapse_ms: float = 0.5
    dead_time_ms: float = 1.0
    drive: float = 13000.0
    live_level: float = 0.4
    live_window_ms: float = 20.0
    live_release_s: float = 2.0
    live_floor: float = 0.02

    def __post_init__(self) -> None:
        where = "ear"
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "causal":
                require(isinstance(value, bool), f"{where}: causal {shown(value)} is not true or false")
            elif field.name in ("n_channels", "fibers"):
                object.__setattr__(self, field.name, exact_integer(where, field.name, value))
            else:
                number = finite_number(where, field.name, value)
                require(number > 0, f"{where}: {field.name} {shown(value)} is not a positive number")
                object.__setattr__(self, field.name, number)
        require(
            1 <= self.n_channels <= MAX_CHANNELS,
            f"an ear of {self.n_channels} channels is outside 1..{MAX_CHANNELS}; give 700 as in SHD",
        )
        require(
            1 <= self.fibers <= MAX_FIBERS,
            f"{self.fibers} nerve fibers per channel are outside 1..{MAX_FIBERS}; give 40 as in SHD",
        )
        for name in ("fiber_dead_time_ms", "dead_time_ms"):
            value = getattr(self, name)
            require(value <= MAX_DEAD_TIME_MS, f"{where}: {name} {value} is more than {MAX_DEAD_TIME_MS:g} ms")

    @property
    def form(self) -> str:
        """'causal' for the form for live sound, 'whole' for that which takes a recording as a whole."""
        return "causal" if self.causal else "whole"


@dataclass(frozen=True)
class Ear:
    """How recordings became the spikes that a network was trained on.

    model         the ear's form and constants
    sample_rate   Hz of the recordings, to which other sound is resampled first; None: they had several, or it is not
                  known, and every sound is taken at its own rate
    version       of the ear's program: the same settings and random numbers make the same spikes within one version

    Raises NetworkError for a value that is none of these.
    """

    model: EarModel
    sample_rate: int | None = None
    version: int = EAR_VERSION

    def __post_init__(self) -> None:
        where = "encoding: ear"
        if isinstance(self.model, Mapping):  # as JSON has it
            object.__setattr__(self, "model", built_from(EarModel, f"{where}: model", self.model))
        require(isinstance(self.model, EarModel), f"{where}: model {shown(self.model)} is no description of an ear")
        if self.sample_rate is not None:
            object.__setattr__(self, "sample_rate", exact_integer(where, "sample_rate", self.sample_rate))
            check_range(where, "sample_rate", self.sample_rate, 1, MAX_SAMPLE_RATE)
        object.__setattr__(self, "version", exact_integer(where, "version", self.version))
        require(
            self.version == EAR_VERSION,
            f"{where}: version {self.version} is unknown to this delaytool, whose ear is version {EAR_VERSION}; "
            "install the delaytool that wrote it, or encode the recordings and train again",
        )
