"""IntegerNetwork: the contract between the exporter and every backend.

The arithmetic that gives these numbers their meaning is `docs/integer-contract.md`, and in code
`delaytool/runtime/reference.py`. This module holds the numbers, proves that they make a network, and
loads and saves them (HDF5, see `docs/file-formats.md`). It imports numpy and h5py only.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import h5py
import numpy as np

from delaytool.errors import NetworkError, first_line
from delaytool.files import write_bytes_atomically

SCHEMA = "delaytool-network"
SCHEMA_VERSION = 1

# What the arithmetic of the contract itself admits. A chip's own, narrower limits are in hw_configs.
DECAY_UNITY = 4096
STATE_SHIFT = 6
STATE_LIMIT = 1 << 23
MAX_THRESHOLD = 131071
MAX_BIAS_MANTISSA = 4095
MIN_BIAS_MANTISSA = -4096
MAX_BIAS_EXPONENT = 7
MAX_WEIGHT_EXPONENT = 7
MAX_DELAY = (1 << 15) - 1
# Backends hold a step's sums in 32 bits, Lava among them, so a network whose sums could leave them is refused.
ACCUMULATOR_LIMIT = (1 << 31) - 1
# Fields of InputEncoding that say how real numbers became integers.
GRADED_ALONE = ("input_bits", "offset", "scale", "mel")


@dataclass(frozen=True)
class MelSpectrogram:
    """How a recording becomes frames of decibels, one a step: 10 log10(max(power in each mel filter, 1e-10)).

    sample_rate   Hz that every recording is resampled to
    window        samples of the Hann window, centred on its frame's time; the ends are reflected
    n_fft         samples of the Fourier transform, the window padded with zeros
    n_mels        triangular filters, unnormalised, evenly spaced on the scale 2595 log10(1 + f / 700)
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
        for name in ("sample_rate", "window", "n_fft", "n_mels"):
            _require(getattr(self, name) >= 1, f"{where}: {name} {getattr(self, name)} is below 1")
        _require(self.n_fft >= self.window, f"{where}: n_fft {self.n_fft} is shorter than the window, {self.window}")
        _require(0 <= self.f_min < self.f_max, f"{where}: f_min {self.f_min} to f_max {self.f_max} Hz is no range")
        _require(self.seconds is None or self.seconds > 0, f"{where}: seconds {self.seconds} is not a positive number")

    def hop(self, time_step_ms: float) -> int:
        """Samples from one frame to the next. Raises NetworkError where a step is no whole number of samples."""
        hop = time_step_ms * self.sample_rate / 1000
        _require(
            hop >= 1 and abs(hop - round(hop)) < 1e-6,
            f"encoding: a time step of {time_step_ms:g} ms is {hop:g} samples at {self.sample_rate} Hz; "
            "choose a time_step_ms that is a whole number of them",
        )
        return round(hop)


@dataclass(frozen=True)
class InputEncoding:
    """How events (time in s, unit), or real numbers, become the frames that the network reads, one frame a step.

    n_units         units of the event data
    time_step_ms    length of a step
    channel_bins    neighbouring units that are summed into one channel
    values          'count' (events in the bin), 'binary' (any event in the bin) or 'graded' (a real number, quantised)
    start           'first-spike' (step 0 begins at the sample's first event) or 'zero' (at time 0)
    n_steps         frames of a sample: later events are cut, earlier ends are padded with silence;
                    None: not decided yet (`datasets.resolve_encoding` takes the longest training sample)
    max_count       counts saturate here, which bounds the payload; None: not decided yet

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

    def __post_init__(self) -> None:
        if isinstance(self.mel, Mapping):  # as JSON has it
            object.__setattr__(self, "mel", MelSpectrogram(**self.mel))
        _require(self.n_units >= 1, f"encoding: n_units {self.n_units} is below 1")
        _require(
            self.time_step_ms > 0 and np.isfinite(self.time_step_ms),
            f"encoding: time_step_ms {self.time_step_ms} is not a positive number of milliseconds",
        )
        _require(self.channel_bins >= 1, f"encoding: channel_bins {self.channel_bins} is below 1")
        _require(
            self.n_units % self.channel_bins == 0,
            f"encoding: channel_bins {self.channel_bins} does not divide the {self.n_units} units; choose a divisor",
        )
        _require(
            self.values in ("count", "binary", "graded"),
            f"encoding: values {self.values!r} is unknown; choose 'count', 'binary' or 'graded'",
        )
        _require(
            self.start in ("first-spike", "zero"),
            f"encoding: start {self.start!r} is unknown; choose 'first-spike' or 'zero'",
        )
        _require(
            self.n_steps is None or self.n_steps >= 1,
            f"encoding: n_steps {self.n_steps} leaves no time steps; it must be at least 1",
        )
        _require(
            self.max_count is None or 1 <= self.max_count <= 255,
            f"encoding: max_count {self.max_count} is outside 1..255",
        )
        self._check_graded()

    def _check_graded(self) -> None:
        if self.values != "graded":
            for name in GRADED_ALONE:
                value = getattr(self, name)
                _require(value is None, f"encoding: {name} {value} belongs to values 'graded', not {self.values!r}")
            return
        bits = self.input_bits
        _require(bits is not None and 1 <= bits <= 8, f"encoding: input_bits {bits} is outside 1..8")
        _require(self.channel_bins == 1, f"encoding: channel_bins {self.channel_bins}: graded channels are not summed")
        _require(
            self.max_count in (None, self.max_payload),
            f"encoding: max_count {self.max_count} is not the {self.max_payload} of {bits} input_bits; leave it out",
        )
        _require((self.offset is None) == (self.scale is None), "encoding: offset and scale go together")
        if self.offset is not None and self.scale is not None:
            _require(
                bool(np.isfinite(self.offset) and np.isfinite(self.scale)) and self.scale > 0,
                f"encoding: offset {self.offset} and scale {self.scale} are not a finite and a positive number",
            )
        if self.mel is not None:
            _require(
                self.mel.n_mels == self.n_units,
                f"encoding: n_units {self.n_units} is not the number of mel filters, {self.mel.n_mels}",
            )
            self.mel.hop(self.time_step_ms)

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; what belongs to 'graded' only there, so that files of event networks stay as they were."""
        return {
            name: value for name, value in asdict(self).items() if self.values == "graded" or name not in GRADED_ALONE
        }

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


@dataclass(frozen=True)
class DenseSynapses:
    """A synapse from every neuron of `source` to every neuron of the layer.

    source     0: the network's input; k >= 1: layer k - 1 of `IntegerNetwork.layers`
    weight     (n_out, n_in) int32, before the exponent
    delay      (n_out, n_in) int32, steps
    exponent   a synapse carries weight << exponent
    """

    source: int
    weight: np.ndarray
    delay: np.ndarray
    exponent: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", _frozen(self.weight, np.int32, "weight"))
        object.__setattr__(self, "delay", _frozen(self.delay, np.int32, "delay"))
        _require(self.weight.ndim == 2, f"dense synapses: weight has shape {self.weight.shape}, not (n_out, n_in)")
        _require(
            self.delay.shape == self.weight.shape,
            f"dense synapses: delay has shape {self.delay.shape}, weight has {self.weight.shape}; they must agree",
        )

    @property
    def shape(self) -> tuple[int, int]:
        return self.weight.shape[0], self.weight.shape[1]

    @property
    def n_synapses(self) -> int:
        """Synapses that do something: those whose weight is not zero."""
        return int(np.count_nonzero(self.weight))

    def listed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(target, source neuron, weight, delay), one entry a synapse of nonzero weight."""
        target, pre = np.nonzero(self.weight)
        return target, pre, self.weight[target, pre], self.delay[target, pre]

    def as_sparse(self) -> SparseSynapses:
        """The same synapses one by one; those of weight 0 are left out."""
        return SparseSynapses(self.source, *self.shape, *self.listed(), self.exponent)


@dataclass(frozen=True)
class SparseSynapses:
    """Synapses given one by one; a pair of neurons may have several, with different delays.

    source     as for DenseSynapses
    n_out, n_in   sizes of the two populations
    target, pre   (n_synapses,) int32: the neuron that receives, the neuron that sends
    weight, delay (n_synapses,) int32
    exponent   a synapse carries weight << exponent
    """

    source: int
    n_out: int
    n_in: int
    target: np.ndarray
    pre: np.ndarray
    weight: np.ndarray
    delay: np.ndarray
    exponent: int = 0

    def __post_init__(self) -> None:
        for name in ("target", "pre", "weight", "delay"):
            array = _frozen(getattr(self, name), np.int32, name)
            object.__setattr__(self, name, array)
            _require(array.ndim == 1, f"sparse synapses: {name} has shape {array.shape}, not (n_synapses,)")
            _require(
                array.shape == self.target.shape,
                f"sparse synapses: {name} has {array.size} entries, target has {self.target.size}; they must agree",
            )
        for name, limit in (("target", self.n_out), ("pre", self.n_in)):
            array = getattr(self, name)
            if array.size and (array.min() < 0 or array.max() >= limit):
                worst = array.min() if array.min() < 0 else array.max()
                raise NetworkError(f"sparse synapses: {name} {worst} is outside 0..{limit - 1}")

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_out, self.n_in

    @property
    def n_synapses(self) -> int:
        return int(np.count_nonzero(self.weight))

    def listed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(target, source neuron, weight, delay), one entry a synapse of nonzero weight."""
        kept = self.weight != 0
        return self.target[kept], self.pre[kept], self.weight[kept], self.delay[kept]

    def as_dense(self) -> DenseSynapses | None:
        """The same synapses as matrices; None where a pair of neurons has several, which one matrix cannot hold."""
        target, pre, weight, delay = self.listed()
        weights, delays = np.zeros(self.shape, np.int32), np.zeros(self.shape, np.int32)
        weights[target, pre], delays[target, pre] = weight, delay
        if np.count_nonzero(weights) < weight.size:
            return None
        return DenseSynapses(self.source, weights, delays, self.exponent)


Synapses = DenseSynapses | SparseSynapses


@dataclass(frozen=True)
class IntegerLayer:
    """A population of integer LIF neurons and the synapses that reach it.

    name            how errors and tables call it
    n_neurons       size
    synapses        the groups that reach it; their sources may be the input or any layer
    du, dv          decays: du = 4095 is no current filter, dv = round(4096 / tau)
    threshold       mantissa: a neuron fires where v > threshold << 6, strictly
    bias_mantissa   (n_neurons,) int32, added to v every step as mantissa << bias_exponent
    bias_exponent   0..7
    """

    name: str
    n_neurons: int
    synapses: tuple[Synapses, ...]
    dv: int
    threshold: int
    du: int = 4095
    bias_mantissa: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    bias_exponent: int = 0

    def __post_init__(self) -> None:
        bias = self.bias_mantissa
        if np.size(bias) == 0:
            bias = np.zeros(self.n_neurons, np.int32)
        object.__setattr__(self, "bias_mantissa", _frozen(bias, np.int32, f"layer {self.name}: bias_mantissa"))
        object.__setattr__(self, "synapses", tuple(self.synapses))
        where = f"layer {self.name}"
        _require(self.n_neurons >= 1, f"{where}: n_neurons {self.n_neurons} is below 1")
        _require(
            self.bias_mantissa.shape == (self.n_neurons,),
            f"{where}: bias_mantissa has shape {self.bias_mantissa.shape}, not ({self.n_neurons},)",
        )
        _in_range(where, "du", self.du, 0, DECAY_UNITY - 1)
        _in_range(where, "dv", self.dv, 0, DECAY_UNITY)
        _in_range(where, "threshold", self.threshold, 0, MAX_THRESHOLD)
        _in_range(where, "bias_exponent", self.bias_exponent, 0, MAX_BIAS_EXPONENT)
        _array_in_range(where, "bias_mantissa", self.bias_mantissa, MIN_BIAS_MANTISSA, MAX_BIAS_MANTISSA)

    @property
    def bias(self) -> np.ndarray:
        """(n_neurons,) int64: what is added to v every step."""
        return self.bias_mantissa.astype(np.int64) << self.bias_exponent

    @property
    def max_delay(self) -> int:
        return max((int(group.delay.max()) for group in self.synapses if group.delay.size), default=0)

    @property
    def n_synapses(self) -> int:
        return sum(group.n_synapses for group in self.synapses)


@dataclass(frozen=True)
class Readout:
    """How the last layer's membrane, which never fires, becomes a class.

    method   'softmax-sum': sum over the window of softmax(v / scale), the largest wins;
             'sum': sum of v over the window, the largest wins
    scale    integer units of v for 1.0 of the trained membrane
    start, stop   the window in chip steps, stop exclusive
    """

    method: str
    scale: float
    start: int
    stop: int

    def __post_init__(self) -> None:
        _require(
            self.method in ("softmax-sum", "sum"),
            f"readout: method {self.method!r} is unknown; choose 'softmax-sum' or 'sum'",
        )
        _require(
            bool(np.isfinite(self.scale)) and self.scale > 0, f"readout: scale {self.scale} is not a positive number"
        )
        _require(0 <= self.start < self.stop, f"readout: the window {self.start}..{self.stop} holds no step")


@dataclass(frozen=True)
class IntegerNetwork:
    """What the exporter makes and every backend runs.

    encoding     how events become frames (sample, time, channel)
    layers       in order; the last one is the readout
    readout      how the last layer's membrane becomes a class
    n_steps      chip steps of a sample: the input's frames, then silence until the last delay has passed
    classes      number of classes, or their names
    provenance   where it came from: recipe and checkpoint hashes, tool version, recorded accuracies (JSON values)
    """

    encoding: InputEncoding
    layers: tuple[IntegerLayer, ...]
    readout: Readout
    n_steps: int
    target: str = "ideal"
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        _require(len(self.layers) >= 1, "network: it has no layers")
        _require(self.n_steps >= 1, f"network: n_steps {self.n_steps} leaves no time steps; it must be at least 1")
        _require(
            self.readout.stop <= self.n_steps,
            f"readout: the window ends at step {self.readout.stop}, the run at {self.n_steps}",
        )
        for layer in self.layers:
            self._check_layer(layer)

    def _check_layer(self, layer: IntegerLayer) -> None:
        where = f"layer {layer.name}"
        for number, group in enumerate(layer.synapses):
            at = f"{where}, synapse group {number}"
            _in_range(at, "source", group.source, 0, len(self.layers))
            expected = (layer.n_neurons, self.n_neurons_of(group.source))
            _require(
                group.shape == expected,
                f"{at}: its shape is {group.shape}, the populations that it joins need {expected}",
            )
            _in_range(at, "exponent", group.exponent, 0, MAX_WEIGHT_EXPONENT)
            _array_in_range(at, "delay", group.delay, 0, MAX_DELAY)
        low, high = self.input_bounds(layer)
        largest = int(max(high.max(), -low.min()))
        charge = largest << STATE_SHIFT
        # A sum of at most 2^24 wraps back into 24 bits. Beyond it what one wrap leaves over can pile up, but no
        # further than this geometric series.
        excess = max(0, charge - 2 * STATE_LIMIT)
        current = max(STATE_LIMIT, excess * DECAY_UNITY // (layer.du + 1))
        _require(
            charge + current + 2 * STATE_LIMIT <= ACCUMULATOR_LIMIT,
            f"{where}: one step's input can reach {largest}, beyond what 32-bit accumulators hold; "
            "export with smaller weight exponents or a smaller max_count",
        )

    def input_bounds(self, layer: IntegerLayer) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest sum that one step can bring to each neuron of a layer, before the shift.

        Exact bounds, (n_neurons,) int64 each: a synapse delivers at most once a step, with at most the largest
        payload of its source, and which synapses do is free.
        """
        low = np.zeros(layer.n_neurons, np.int64)
        high = np.zeros(layer.n_neurons, np.int64)
        for group in layer.synapses:
            target, _, weight, _ = group.listed()
            charge = (weight.astype(np.int64) << group.exponent) * self.max_payload_of(group.source)
            np.add.at(low, target, np.minimum(charge, 0))
            np.add.at(high, target, np.maximum(charge, 0))
        return low, high

    def n_neurons_of(self, source: int) -> int:
        """Size of a population as synapse groups number them: 0 the input, k layer k - 1."""
        return self.encoding.n_channels if source == 0 else self.layers[source - 1].n_neurons

    def max_payload_of(self, source: int) -> int:
        """Largest value that a spike of this population carries."""
        return self.encoding.max_payload if source == 0 else 1

    def name_of(self, source: int) -> str:
        return "input" if source == 0 else self.layers[source - 1].name

    @property
    def n_classes(self) -> int:
        return self.layers[-1].n_neurons

    @property
    def max_delay(self) -> int:
        return max(layer.max_delay for layer in self.layers)

    @property
    def n_synapses(self) -> int:
        return sum(layer.n_synapses for layer in self.layers)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network as HDF5; the file appears whole or not at all."""
        # Made in memory: HDF5 crashes on a full disk. The layout of HDF5 1.10 spends far less than the older one on
        # small datasets, as sparse networks have.
        content = io.BytesIO()
        with h5py.File(content, "w", libver=("v110", "v110")) as file:
            file.attrs["schema"] = SCHEMA
            file.attrs["schema_version"] = SCHEMA_VERSION
            file.attrs["target"] = self.target
            file.attrs["n_steps"] = self.n_steps
            file.attrs["encoding"] = json.dumps(self.encoding.as_dict())
            file.attrs["readout"] = json.dumps(asdict(self.readout))
            file["provenance"] = json.dumps(dict(self.provenance))
            for index, layer in enumerate(self.layers):
                _save_layer(file.create_group(f"layers/{index}"), layer)
        write_bytes_atomically(path, content.getvalue())

    @staticmethod
    def load(path: str | os.PathLike[str]) -> IntegerNetwork:
        """Read a network file. Raises NetworkError for one that is missing, foreign, truncated or inconsistent."""
        try:
            with h5py.File(path, "r") as file:
                return _load(file, path)
        except NetworkError as error:
            text = str(error)
            raise NetworkError(text if str(path) in text else f"{path}: {text}") from None
        except FileNotFoundError:
            raise NetworkError(f"{path}: no such file; give the network that `delaytool export` wrote") from None
        except IsADirectoryError:
            raise NetworkError(
                f"{path}: this is a folder; give the network file that `delaytool export` wrote"
            ) from None
        except OSError as error:
            raise NetworkError(f"{path}: not a readable HDF5 file ({first_line(error)}); export it again") from None
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise NetworkError(f"{path}: the network file is damaged ({first_line(error)}); export it again") from None


def _save_layer(group: h5py.Group, layer: IntegerLayer) -> None:
    for name in ("name", "n_neurons", "du", "dv", "threshold", "bias_exponent"):
        group.attrs[name] = getattr(layer, name)
    group["bias_mantissa"] = layer.bias_mantissa
    for number, synapses in enumerate(layer.synapses):
        sub = group.create_group(f"synapses/{number}")
        sparse = isinstance(synapses, SparseSynapses)
        sub.attrs["kind"] = "sparse" if sparse else "dense"
        sub.attrs["source"] = synapses.source
        sub.attrs["exponent"] = synapses.exponent
        if sparse:
            sub.attrs["shape"] = synapses.shape
        for name in ("target", "pre", "weight", "delay") if sparse else ("weight", "delay"):
            array = getattr(synapses, name)
            sub.create_dataset(name, data=_narrowed(array), compression="gzip" if array.size else None)


def _load(file: h5py.File, path: str | os.PathLike[str]) -> IntegerNetwork:
    if file.attrs.get("schema") != SCHEMA:
        raise NetworkError(f"{path}: this HDF5 file is not a delaytool network; give one that `delaytool export` wrote")
    version = int(file.attrs["schema_version"])
    if version != SCHEMA_VERSION:
        raise NetworkError(
            f"{path}: network schema version {version} is unknown to this delaytool, which reads version "
            f"{SCHEMA_VERSION}; export it again with this version, or install the one that wrote it"
        )
    count = len(file["layers"])
    return IntegerNetwork(
        encoding=InputEncoding(**json.loads(file.attrs["encoding"])),
        layers=tuple(_load_layer(file[f"layers/{index}"]) for index in range(count)),
        readout=Readout(**json.loads(file.attrs["readout"])),
        n_steps=int(file.attrs["n_steps"]),
        target=str(file.attrs["target"]),
        provenance=json.loads(file["provenance"][()]),
    )


def _load_layer(group: h5py.Group) -> IntegerLayer:
    synapses: list[Synapses] = []
    for number in range(len(group.get("synapses", ()))):
        sub = group[f"synapses/{number}"]
        source, exponent = int(sub.attrs["source"]), int(sub.attrs["exponent"])
        if sub.attrs["kind"] == "sparse":
            n_out, n_in = (int(size) for size in sub.attrs["shape"])
            target, pre, weight, delay = (sub[name][()] for name in ("target", "pre", "weight", "delay"))
            synapses.append(SparseSynapses(source, n_out, n_in, target, pre, weight, delay, exponent))
        else:
            synapses.append(DenseSynapses(source, sub["weight"][()], sub["delay"][()], exponent))
    integers = {name: int(group.attrs[name]) for name in ("n_neurons", "du", "dv", "threshold", "bias_exponent")}
    return IntegerLayer(
        name=str(group.attrs["name"]), synapses=tuple(synapses), bias_mantissa=group["bias_mantissa"][()], **integers
    )


def _narrowed(array: np.ndarray) -> np.ndarray:
    """The smallest signed integer type that holds every value, so that files stay small."""
    for dtype in (np.int8, np.int16):
        limits = np.iinfo(dtype)
        if array.size == 0 or (array.min() >= limits.min and array.max() <= limits.max):
            return array.astype(dtype)
    return array


def _frozen(array: Any, dtype: type, name: str) -> np.ndarray:
    given = np.asarray(array)
    _require(
        given.size == 0 or np.issubdtype(given.dtype, np.integer),
        f"{name}: values are {given.dtype}, not integers",
    )
    if given.size:
        limits = np.iinfo(dtype)
        _array_in_range(name, "value", given, limits.min, limits.max)
    copy: np.ndarray = np.array(given, dtype=dtype, order="C")
    copy.setflags(write=False)
    return copy


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise NetworkError(message)


def _in_range(where: str, name: str, value: int, low: int, high: int) -> None:
    _require(low <= value <= high, f"{where}: {name} {value} is outside {low}..{high}")


def _array_in_range(where: str, name: str, array: np.ndarray, low: int, high: int) -> None:
    if array.size and (array.min() < low or array.max() > high):
        worst = array.min() if array.min() < low else array.max()
        raise NetworkError(f"{where}: {name} {worst} is outside {low}..{high}")
