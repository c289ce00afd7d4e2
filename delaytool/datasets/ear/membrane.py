"""The basilar membrane's transfer function. Needs scipy for Bessel functions."""

from __future__ import annotations

import numpy as np

from delaytool.contract.ear import EarModel
from delaytool.errors import MissingExtraError


def places(model: EarModel) -> np.ndarray:
    """(n_channels,) float64: the channels' places in cm from the base, the first one that of the highest tones."""
    return np.linspace(0.0, model.apex, model.n_channels)


def transfer_function(frequencies: np.ndarray, places: np.ndarray, model: EarModel) -> np.ndarray:
    """(frequency, place) complex128: the membrane's velocity at a place per sound pressure at the ear.

    frequencies in Hz, above 0; places in cm. With the signs of time dependence exp(-i omega t), as in the paper.

    The long-wave ("shallow water") equation of the membrane, p'' + 2 k^2 p = 0 with k from its impedance

        xi(x) = S(x) - m omega^2 - i omega R(x),   S = C0 exp(-alpha x) - a,   R = delta sqrt(C0 m) exp(-alpha x / 2)

    is solved by the uniform approximation p = sqrt(G / g) H0(G) (Hankel's function of the first kind) with

        g(x) = omega sqrt(rho / (h xi(x))),   G(x) = 2 g(0) / alpha + integral of g from 0 to x

    and the velocity is v = 2 omega / xi(x) * p(x) / p(0) * Z, with the impedance of the cochlea's entrance

        Z = i sqrt(2 C0 / h) (J0(z) - i Y0(z)) / (J1(z) - i Y1(z)),   z = 2 omega / alpha * sqrt(2 / (h C0))

    (Sieroka, Dosch, Rupp 2006). The integral is elementary: with s = exp(alpha x / 2), A = a + m omega^2 and
    B = omega R(0) it is 2 omega / alpha * sqrt(rho / h) times the integral of 1 / sqrt(C0 - i B s - A s^2) from 1 to s,
    whose antiderivative is asin((2 A s + i B) / sqrt(4 A C0 - B^2)) / sqrt(A).

    Raises MissingExtraError without scipy.
    """
    try:
        from scipy import special
    except ImportError:
        raise MissingExtraError("the ear's membrane", "scipy", "audio") from None
    omega = 2 * np.pi * np.asarray(frequencies, np.float64)[:, None]  # (frequency, 1)
    place = np.asarray(places, np.float64)[None, :]  # (1, place)
    resistance = model.damping * np.sqrt(model.stiffness * model.mass)
    inertia = model.stiffness_offset + model.mass * omega**2  # A

    def impedance(x: np.ndarray) -> np.ndarray:
        stiffness = model.stiffness * np.exp(-model.decay * x) - model.stiffness_offset
        return stiffness - model.mass * omega**2 - 1j * omega * resistance * np.exp(-model.decay * x / 2)

    def wave_number(x: np.ndarray) -> np.ndarray:
        return omega * np.sqrt(model.density / (model.height * impedance(x)))

    def antiderivative(s: np.ndarray) -> np.ndarray:
        damping = omega * resistance  # B
        return np.arcsin((2 * inertia * s + 1j * damping) / np.sqrt(4 * inertia * model.stiffness - damping**2))

    base = np.zeros((1, 1))
    start = 2 * wave_number(base) / model.decay
    scale = 2 * omega / model.decay * np.sqrt(model.density / (model.height * inertia))
    path = antiderivative(np.exp(model.decay * place / 2)) - antiderivative(np.ones((1, 1)))
    phase = start + scale * path  # G
    pressure = np.sqrt(phase / wave_number(place)) * special.hankel1(0, phase)
    at_base = np.sqrt(start / wave_number(base)) * special.hankel1(0, start)
    z = 2 * omega / model.decay * np.sqrt(2 / (model.height * model.stiffness))
    entrance = (special.j0(z) - 1j * special.y0(z)) / (special.j1(z) - 1j * special.y1(z))
    entrance = 1j * np.sqrt(2 * model.stiffness / model.height) * entrance
    velocity: np.ndarray = 2 * omega / impedance(place) * pressure / at_base * entrance
    return velocity


def line_frequencies(n_samples: int, rate: int) -> np.ndarray:
    """(n_samples // 2 + 1,) float64 Hz: where the transfer function is taken for the lines of a recording's spectrum.

    From 1 Hz to half the rate, as in LAUSCHER, so line k stands for a frequency at most 1 Hz from its own.
    """
    return np.linspace(1.0, rate // 2, n_samples // 2 + 1)
