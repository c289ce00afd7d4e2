"""How events and recordings become the frames that a network reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from delaytool.contract.bounds import MAX_STEPS
from delaytool.contract.checks import built_from, check_range, exact_integer, finite_number, require, shown
from delaytool.contract.ear import MAX_SAMPLE_RATE, Ear

# Generous, so that no file can ask for memory or time without end.
MAX_UNITS = 1 << 24
MAX_STEP_MS = 86_400_000.0
MAX_WINDOW = 1 << 22
MAX_SECONDS = 86_400.0
# Fields of InputEncoding that describe how real numbers became integers.
GRADED_ALONE = ("input_bits", "offset", "scale", "mel")


@dataclass(frozen=True)
class MelSpectrogram:
    """How a recording becomes frames of decibels, one per step: 10 log10(max(power in each mel filter, 1e-10)).

    sample_rate   Hz that every recording is resampled to
    window        samples of the Hann window, centered on its frame's time; the ends are reflected
    n_fft         samples of the Fourier transform, the window padded with zeros
    n_mels        triangular filters, unnormalized, evenly spaced on the scale 2595 log10(1 + f / 700)
    f_min, f_max  Hz: where the first filter begins and the last one ends
    seconds       recordings are cut or padded with zeros to this length; None: taken as long as they are
    """

    sample_rate: int
    window: int
    n_fft: int
    n_mels: int
    f_min: float
    f_max: float
    seconds: float | None = None

    def __post_init__(self) -> None:
        where = "encoding: mel"
        for name, most in (
            ("sample_rate", MAX_SAMPLE_RATE), ("window", MAX_WINDOW), ("n_fft", MAX_WINDOW), ("n_mels", MAX_UNITS)
        ):  # fmt: skip
            value = exact_integer(where, name, getattr(self, name))
            object.__setattr__(self, name, value)
            require(value >= 1, f"{where}: {name} {value} is below 1")
            check_range(where, name, value, 1, most)
        for name in ("f_min", "f_max", *(() if self.seconds is None else ("seconds",))):
            object.__setattr__(self, name, finite_number(where, name, getattr(self, name)))
        require(self.n_fft >= self.window, f"{where}: n_fft {self.n_fft} is shorter than the window, {self.window}")
        require(0 <= self.f_min < self.f_max, f"{where}: f_min {self.f_min} to f_max {self.f_max} Hz is no range")
        require(self.seconds is None or self.seconds > 0, f"{where}: seconds {self.seconds} is not a positive number")
        require(
            self.seconds is None or self.seconds <= MAX_SECONDS,
            f"{where}: seconds {self.seconds} is more than a day ({MAX_SECONDS:g})",
        )

    def hop(self, time_step_ms: float) -> int:
        """Samples from one frame to the next. Raises NetworkError where a step is no whole number of samples."""
        hop = time_step_ms * self.sample_rate / 1000
        require(
            hop >= 1 and abs(hop - round(hop)) < 1e-6,
            f"encoding: a time step of {time_step_ms:g} ms is {hop:g} samples at {self.sample_rate} Hz; "
            "choose a time_step_ms that is a whole number of them",
        )
        return round(hop)


@dataclass(frozen=True)
class InputEncoding:
    """How events (time in s, unit), or real numbers, become the frames that the network reads, one frame per step.

    n_units         units of the event data
    time_step_ms    length of a step
    channel_bins    neighboring units that are summed into one channel
    values          'count' (events in the bin), 'binary' (any event in the bin) or 'graded' (a real number, quantized)
    start           'first-spike' (step 0 begins at the sample's first event) or 'zero' (at time 0)
    n_steps         frames of a sample: later events are cut, earlier ends are padded with silence;
                    None: not decided yet (`datasets.resolve_encoding` takes the longest training sample)
    max_count       counts saturate here, which bounds the payload; None: not decided yet
    ear             how recordings became the events; None: the events are not those of recordings through the ear, or
                    it is not known

    For 'graded' alone:
    input_bits      1..8; an integer q in 0..2^bits - 1 stands for the real number offset + scale * q
    offset, scale   of that, None: not decided yet (`datasets.resolve_encoding` takes the training part's range)
    mel             how recordings became real numbers; None: not from recordings
    """

    n_units: int
    time_step_ms: float = 10.0
    channel_bins: int = 1
    values: str = "count"
    start: str = "first-spike"
    n_steps: int | None = None
    max_count: int | None = None
    input_bits: int | None = None
    offset: float | None = None
    scale: float | None = None
    mel: MelSpectrogram | None = None
    ear: Ear | None = None

    def __post_init__(self) -> None:
        if isinstance(self.mel, Mapping):  # as JSON has it
            object.__setattr__(self, "mel", built_from(MelSpectrogram, "encoding: mel", self.mel))
        if isinstance(self.ear, Mapping):
            object.__setattr__(self, "ear", built_from(Ear, "encoding: ear", self.ear))
        for name in ("n_units", "channel_bins", "n_steps", "max_count", "input_bits"):
            if getattr(self, name) is not None or name in ("n_units", "channel_bins"):
                object.__setattr__(self, name, exact_integer("encoding", name, getattr(self, name)))
        for name in ("time_step_ms", "offset", "scale"):
            if getattr(self, name) is not None or name == "time_step_ms":
                object.__setattr__(self, name, finite_number("encoding", name, getattr(self, name)))
        require(self.n_units >= 1, f"encoding: n_units {self.n_units} is below 1")
        check_range("encoding", "n_units", self.n_units, 1, MAX_UNITS)
        require(
            0 < self.time_step_ms <= MAX_STEP_MS,
            f"encoding: time_step_ms {self.time_step_ms} is not a positive number of milliseconds, at most a day",
        )
        require(self.channel_bins >= 1, f"encoding: channel_bins {self.channel_bins} is below 1")
        require(
            self.n_units % self.channel_bins == 0,
            f"encoding: channel_bins {self.channel_bins} does not divide the {self.n_units} units; choose a divisor",
        )
        require(
            self.values in ("count", "binary", "graded"),
            f"encoding: values {self.values!r} is unknown; choose 'count', 'binary' or 'graded'",
        )
        require(
            self.start in ("first-spike", "zero"),
            f"encoding: start {self.start!r} is unknown; choose 'first-spike' or 'zero'",
        )
        require(
            self.n_steps is None or self.n_steps >= 1,
            f"encoding: n_steps {self.n_steps} leaves no time steps; it must be at least 1",
        )
        require(
            self.n_steps is None or self.n_steps <= MAX_STEPS,
            f"encoding: n_steps {self.n_steps} is more than the {MAX_STEPS} that a sample may have; "
            "take longer steps or shorter samples",
        )
        require(
            self.max_count is None or 1 <= self.max_count <= 255,
            f"encoding: max_count {self.max_count} is outside 1..255",
        )
        self._check_graded()
        self._check_ear()

    def _check_ear(self) -> None:
        if self.ear is None:
            return
        require(isinstance(self.ear, Ear), f"encoding: ear {shown(self.ear)} is no description of an ear")
        require(self.values != "graded", "encoding: an ear makes spikes, values 'graded' is for real numbers")
        require(
            self.ear.model.n_channels == self.n_units,
            f"encoding: n_units {self.n_units} is not the ear's number of channels, {self.ear.model.n_channels}",
        )

    def _check_graded(self) -> None:
        if self.values != "graded":
            for name in GRADED_ALONE:
                value = getattr(self, name)
                require(value is None, f"encoding: {name} {value} belongs to values 'graded', not {self.values!r}")
            return
        bits = self.input_bits
        require(bits is not None and 1 <= bits <= 8, f"encoding: input_bits {bits} is outside 1..8")
        require(self.channel_bins == 1, f"encoding: channel_bins {self.channel_bins}: graded channels are not summed")
        require(
            self.max_count in (None, self.max_payload),
            f"encoding: max_count {self.max_count} is not the {self.max_payload} of {bits} input_bits; leave it out",
        )
        require((self.offset is None) == (self.scale is None), "encoding: offset and scale go together")
        if self.offset is not None and self.scale is not None:
            require(
                self.scale > 0,
                f"encoding: offset {self.offset} and scale {self.scale} are not a finite and a positive number",
            )
        if self.mel is not None:
            require(isinstance(self.mel, MelSpectrogram), f"encoding: mel {self.mel!r} is no description of mel frames")
            require(
                self.mel.n_mels == self.n_units,
                f"encoding: n_units {self.n_units} is not the number of mel filters, {self.mel.n_mels}",
            )
            self.mel.hop(self.time_step_ms)

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; what belongs to 'graded' or to an ear only there, so that other files stay as they were."""
        left_out = (*(() if self.values == "graded" else GRADED_ALONE), *(() if self.ear is not None else ("ear",)))
        return {name: value for name, value in asdict(self).items() if name not in left_out}

    @property
    def n_channels(self) -> int:
        return self.n_units // self.channel_bins

    @property
    def max_payload(self) -> int:
        """The largest value that a frame can hold."""
        if self.values == "binary":
            return 1
        if self.input_bits is not None:
            return (1 << self.input_bits) - 1
        return 255 if self.max_count is None else self.max_count
