"""Which sampling rates hair cells can follow."""

from __future__ import annotations

from delaytool.datasets.sampling_rate import check_sampling_rate
from delaytool.errors import DataError

# Hz. The hair cells' equations are followed step by step at half the sampling rate, and a cleft loses 9,080 parts of
# its transmitter per second: at 8 kHz that is 2.27 times what there is per step, cut at 0, which is as far as the model
# has been used.
LOWEST_RATE = 8000


def check_rate(rate: int) -> None:
    """Raise DataError for a sampling rate, in Hz, that is too low for hair cells, or that no recording has."""
    if rate < LOWEST_RATE:
        raise DataError(
            f"a recording at {rate} Hz is below the {LOWEST_RATE} Hz that hair cells need; give recordings at a higher "
            "sampling rate"
        )
    check_sampling_rate(rate, "sound", "give the rate of the recording")
