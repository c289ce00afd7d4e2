"""Which sampling rates recordings have."""

from __future__ import annotations

import operator

from delaytool.contract.ear import MAX_SAMPLE_RATE
from delaytool.errors import DataError

# Hz. Sound at a rate far below that of a network's frames would become that many times larger: below 1 kHz no word is
# left, and a file that states less is damaged. Above, ultrasonic recorders end at 384 kHz.
LOWEST_RATE, HIGHEST_RATE = 1000, MAX_SAMPLE_RATE


def check_sampling_rate(rate: int, name: object, way_out: str) -> None:
    """Raise DataError for a sampling rate, in Hz, that no recording has, or that is no whole number."""
    try:
        operator.index(rate)
    except TypeError:
        raise DataError(
            f"{name}: a sampling rate of {rate!r} Hz is not an integer; give one, such as 16000, or {way_out}"
        ) from None
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise DataError(
            f"{name}: a sampling rate of {rate:,} Hz is outside {LOWEST_RATE:,}..{HIGHEST_RATE:,} Hz, which recordings "
            f"have; {way_out}"
        )
