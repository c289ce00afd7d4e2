"""The constants of the inner-ear model, each with its unit and source."""

from __future__ import annotations

from dataclasses import dataclass

from delaytool.errors import DataError

# Hz. The hair cells' equations are followed step by step at half the sampling rate, and a cleft loses 9,080 parts of
# its transmitter per second: at 8 kHz that is 2.27 times what there is per step, cut at 0, which is as far as the model
# has been used.
LOWEST_RATE = 8000


@dataclass(frozen=True)
class EarModel:
    """The ear behind SHD and SSC: basilar membrane, hair cells, auditory nerve fibers, bushy cells.

    The defaults are the values that SHD and SSC were made with (B. Cramer, Y. Stradmann, J. Schemmel, F. Zenke 2020,
    IEEE TNNLS, doi 10.1109/TNNLS.2020.3044364, and its program LAUSCHER 1.0.1).

    n_channels          places along the membrane, evenly spaced from its base (high tones) to `apex`
    causal              False: the ear of SHD and SSC, which takes a recording as a whole. True: the form for live
                        sound, in which no spike depends on what comes later (see `live.py`)

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
        if not 1 <= self.n_channels <= 65535:
            raise DataError(f"an ear of {self.n_channels} channels is outside 1..65535; give 700 as in SHD")
        if not 1 <= self.fibers <= 255:
            raise DataError(f"{self.fibers} nerve fibers per channel are outside 1..255; give 40 as in SHD")


def check_rate(rate: int) -> None:
    """Raise DataError for a sampling rate, in Hz, that is too low for hair cells."""
    if rate < LOWEST_RATE:
        raise DataError(
            f"a recording at {rate} Hz is below the {LOWEST_RATE} Hz that hair cells need; give recordings at a higher "
            "sampling rate"
        )
