"""netx files (`.net`): the HDF5 network exchange format of Intel's lava-dl, written and read.

The layout is what `lava.lib.dl.netx.hdf5` of lava-dl 0.6.0 reads:

    layer/<i>/type      'input' or 'dense' ('flatten' is read, and is nothing here)
    layer/<i>/shape     neurons
    layer/<i>/weight    (n_out, n_in) integers, or flat
    layer/<i>/delay     (n_out, n_in), (n_out,), (n_in,) or one number; steps
    layer/<i>/bias      (n_out,) mantissas; the exponent is always 6
    layer/<i>/neuron/   type 'LOIHI' or 'CUBA', iDecay (du + 1), vDecay (dv), vThMant (threshold)

It has no place for weight exponents, several taps per synapse, other sources than the layer before,
payloads, the length of a sample or how the input was made. What it cannot represent is refused, never rounded.
"""

from __future__ import annotations

import io
import math
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from delaytool.contract.bounds import DECAY_UNITY, MAX_BIAS_MANTISSA, MAX_NEURONS, MAX_STEPS, MIN_BIAS_MANTISSA
from delaytool.contract.checks import built_from, exact_integer, require, shown, storable_text
from delaytool.contract.digests import canonical_json, content_sha256
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.limits import NO_CHIP, check_target, first_violation
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.strict_hdf5 import StrictGroup, open_strict_image, read_whole
from delaytool.contract.strict_json import parse_json
from delaytool.contract.synapses import DenseSynapses
from delaytool.contract.values import file_values
from delaytool.errors import ExportError, NetworkError
from delaytool.files import write_bytes_atomically
from delaytool.hw_configs import load_target

Node = Any  # to h5py's types every item may be a group, a dataset or a type, so they help with none of the three
BIAS_EXPONENT = 6  # lava-dl netx/hdf5.py, get_neuron_params
MAX_DELAY = 62  # lava-dl netx/hdf5.py, create_dense: longer ones are clamped
MIN_WEIGHT, MAX_WEIGHT = -256, 254  # lava-dl netx/utils.py, optimize_weight_bits
NEURON_TYPES = ("LOIHI", "CUBA")
# Readers ignore this attribute; ours finds in it what netx has no place for.
EXTRA = "delaytool"
GIVE = "give a netx file (.net)"
OTHER_WAY = "use the network file itself (delaytool verify NET --backend lava)"


def write_netx(network: IntegerNetwork, path: str | os.PathLike[str]) -> None:
    """Write the network as a netx file, whole or not at all. Raises ExportError for what netx cannot represent."""
    matrices = _matrices(network)
    prepared = [
        (_connection(layer, matrix), _bias(layer)) for layer, matrix in zip(network.layers, matrices, strict=True)
    ]
    extra = {
        "n_steps": network.n_steps,
        "encoding": network.encoding.as_dict(),
        "readout": asdict(network.readout),
        "target": network.target,
        "names": [layer.name for layer in network.layers],
        "provenance": dict(network.provenance),
        "class_names": list(network.class_names),
        "export": dict(network.export),
        "sha256": _as_read(network, prepared).content_sha256(),
    }
    content = io.BytesIO()  # HDF5 crashes on a full disk
    # Of the layout of HDF5 1.10, an attribute can be longer than 64 KiB, as a long provenance is.
    with h5py.File(content, "w", libver=("v110", "v110")) as file:
        file.attrs[EXTRA] = canonical_json(extra)
        group = file.create_group("layer/0")
        _write_type(group, "input")
        group["shape"] = np.array([network.encoding.n_channels])
        for index, (layer, ((weight, delay), bias)) in enumerate(zip(network.layers, prepared, strict=True), 1):
            group = file.create_group(f"layer/{index}")
            _write_type(group, "dense")
            group["shape"] = np.array([layer.n_neurons])
            group["inFeatures"], group["outFeatures"] = weight.shape[1], weight.shape[0]
            group.create_dataset("weight", data=weight, compression="gzip")
            group.create_dataset("delay", data=delay, compression="gzip")
            if bias.any():
                group["bias"] = bias
            neuron = group.create_group("neuron")
            _write_type(neuron, "LOIHI")
            neuron["iDecay"], neuron["vDecay"], neuron["vThMant"] = layer.du + 1, layer.dv, layer.threshold
            neuron["refDelay"], neuron["gradedSpike"] = 1, False
    write_bytes_atomically(path, content.getvalue())


def is_of_delaytool(path: str | os.PathLike[str]) -> bool:
    """Whether `write_netx` wrote the file; False for one that cannot be read."""
    try:
        with open_strict_image(read_whole(path, NetworkError, GIVE), path, NetworkError, GIVE) as file:
            return file.has_attribute(EXTRA)
    except NetworkError:
        return False


def read_netx(
    path: str | os.PathLike[str],
    *,
    n_steps: int | None = None,
    time_step_ms: float | None = None,
    clip_delays: bool = False,
) -> IntegerNetwork:
    """Read a netx file, ours or another tool's.

    n_steps, time_step_ms   length of a sample and of a step (None: 1 ms), for files of other tools, which do not
                            state them
    clip_delays             clip delays beyond 62 to 62, as netx does silently

    Raises NetworkError for a file that is missing, damaged, or holds what the integer contract does not, and for a
    length that the file states itself.
    """
    content = read_whole(path, NetworkError, GIVE)
    try:
        with open_strict_image(content, path, NetworkError, GIVE) as file:
            network = _read(file, Path(path).name, n_steps, time_step_ms, clip_delays)
        check_target(network)
        return network
    except NetworkError as error:
        text = str(error)
        raise NetworkError(text if str(path) in text else f"{path}: {text}") from None
    except (MemoryError, OverflowError) as error:
        raise NetworkError(f"{path}: the network is too large for this machine ({type(error).__name__})") from None


def has_netx_structure(network: IntegerNetwork) -> bool:
    """Whether netx has a place for a network's input, synapses and delays; its weights and biases may exceed netx's."""
    try:
        _matrices(network)
    except ExportError:
        return False
    return True


def _matrices(network: IntegerNetwork) -> list[DenseSynapses]:
    """The one group of single taps of each layer. Raises ExportError where netx has no place for what there is."""
    if network.encoding.max_payload > 1:
        raise ExportError(
            f"netx: the input is graded (counts up to {network.encoding.max_payload}) and netx has no place for that; "
            f"train with data.values 'binary', or {OTHER_WAY}"
        )
    return [_matrix(network, index) for index in range(len(network.layers))]


def _matrix(network: IntegerNetwork, index: int) -> DenseSynapses:
    layer = network.layers[index]
    where = f"layer {layer.name}"
    if len(layer.synapses) != 1:
        raise ExportError(
            f"{where}: {len(layer.synapses)} synapse groups reach it and netx holds one; "
            f"train with one tap per synapse and no skips or recurrence, or {OTHER_WAY}"
        )
    group = layer.synapses[0]
    if group.source != index:
        raise ExportError(
            f"{where}: it has synapses from {network.name_of(group.source)}, and netx only from the layer "
            f"before; {OTHER_WAY}"
        )
    matrix = group if isinstance(group, DenseSynapses) else group.as_dense()
    if matrix is None:
        raise ExportError(
            f"{where}: a pair of its neurons has several taps, and netx holds only whole matrices of one delay "
            f"per synapse; train with one tap per synapse (model.kernel_count = 1), or {OTHER_WAY}"
        )
    if not matrix.weight.any():
        raise ExportError(f"{where}: all its weights are 0, at which netx fails; train longer, or {OTHER_WAY}")
    longest = np.where(matrix.weight != 0, matrix.delay, 0).max()
    if longest > MAX_DELAY:
        raise ExportError(
            f"{where}: delay {longest} exceeds netx's {MAX_DELAY}; retrain with shorter delays or export with "
            "--clip-delays"
        )
    return matrix


def _connection(layer: IntegerLayer, matrix: DenseSynapses) -> tuple[np.ndarray, np.ndarray]:
    """(weight, delay) as netx holds them, exponent applied."""
    where = f"layer {layer.name}"
    weight = matrix.weight.astype(np.int64) << matrix.exponent
    if (weight % 2).any():
        odd = weight[weight % 2 != 0][0]
        raise ExportError(f"{where}: weight {odd} is odd, and Loihi 2's are even; export with --target loihi2")
    if weight.min() < MIN_WEIGHT or weight.max() > MAX_WEIGHT:
        worst = weight.min() if weight.min() < MIN_WEIGHT else weight.max()
        raise ExportError(
            f"{where}: a synapse carries {worst} (weight exponent {matrix.exponent}), and netx, which has no weight "
            f"exponent, holds {MIN_WEIGHT}..{MAX_WEIGHT}; {OTHER_WAY}"
        )
    least = -int(weight.min())
    if weight.max() <= 0 and least & (least - 1) == 0:
        # optimize_weight_bits shifts it to -256, Lava then takes the group as inhibitory and clips it to -255
        raise ExportError(
            f"{where}: it has no positive weight and its least is {-least}, a power of two, which netx would change; "
            f"{OTHER_WAY}"
        )
    return weight.astype(np.int32), np.where(weight != 0, matrix.delay, 0).astype(np.int32)


def _bias(layer: IntegerLayer) -> np.ndarray:
    """Mantissas for netx's bias exponent of 6."""
    bias = layer.bias
    where = f"layer {layer.name}"
    if (bias % (1 << BIAS_EXPONENT)).any():
        raise ExportError(
            f"{where}: bias {bias[bias % (1 << BIAS_EXPONENT) != 0][0]} is no multiple of 64, and netx's bias exponent "
            f"is always {BIAS_EXPONENT}; train with model.bias false, or {OTHER_WAY}"
        )
    mantissa = bias >> BIAS_EXPONENT
    if mantissa.min() < MIN_BIAS_MANTISSA or mantissa.max() > MAX_BIAS_MANTISSA:
        worst = mantissa.min() if mantissa.min() < MIN_BIAS_MANTISSA else mantissa.max()
        raise ExportError(
            f"{where}: bias mantissa {worst} at netx's exponent {BIAS_EXPONENT} is outside "
            f"{MIN_BIAS_MANTISSA}..{MAX_BIAS_MANTISSA}; {OTHER_WAY}"
        )
    return mantissa.astype(np.int32)


def _write_type(group: Node, name: str) -> None:
    group.create_dataset("type", (1,), "S10", [name.encode("ascii")])


def _as_read(network: IntegerNetwork, prepared: list[tuple[tuple[np.ndarray, np.ndarray], np.ndarray]]) -> Any:
    """The network that `read_netx` makes of what is written, whose digest the file carries."""
    layers = tuple(
        replace(layer, synapses=(DenseSynapses(index, weight, delay),), bias_mantissa=bias, bias_exponent=BIAS_EXPONENT)
        for index, (layer, ((weight, delay), bias)) in enumerate(zip(network.layers, prepared, strict=True))
    )
    return replace(network, layers=layers, extensions={})


def _former_sha256(network: IntegerNetwork) -> str:
    """What files of before state as `sha256`: the schema of the network file was left out."""
    values = file_values(network)
    return content_sha256({name: value for name, value in values.items() if name not in ("@schema", "@schema_version")})


def _read(
    file: StrictGroup, name: str, n_steps: int | None, time_step_ms: float | None, clip_delays: bool
) -> IntegerNetwork:
    if "layer" not in file:
        raise NetworkError("this HDF5 file has no group 'layer', so it is not a netx file; give one (.net)")
    extra = _read_extra(file)
    layers = _read_layers(file.group_at("layer"), extra, clip_delays)
    own_steps = extra.get("n_steps")
    if n_steps is None and own_steps is None:
        raise NetworkError("netx does not state how long a sample runs; give the number of steps with --steps")
    step_ms = 1.0 if time_step_ms is None else time_step_ms
    network = _with_metadata(layers, extra, n_steps if own_steps is None else own_steps, step_ms, name)
    stated = extra.get("sha256")
    if "sha256" in extra and stated != network.content_sha256() and stated != _former_sha256(network):
        raise NetworkError("the file is not as it was written: its digest is another network's; write it again")
    # Another length would be another classifier: the readout's window and the encoding belong to the file's own.
    require(
        n_steps is None or n_steps == network.n_steps,
        f"n_steps {n_steps}: the file states that a sample has {network.n_steps} steps; leave --steps out",
    )
    own_ms = network.encoding.time_step_ms
    require(
        time_step_ms is None or time_step_ms == own_ms,
        f"time_step_ms {time_step_ms}: the file states that a step has {own_ms:g} ms; leave --time-step-ms out",
    )
    if "target" not in extra:
        chip = load_target("loihi2")
        network = replace(network, target=NO_CHIP if first_violation(network, chip) else chip.name)
    return network


def _with_metadata(
    layers: tuple[IntegerLayer, ...], extra: dict[str, Any], n_steps: Any, time_step_ms: float, name: str
) -> IntegerNetwork:
    """The layers as a network, with what delaytool keeps in the file, or else what its caller gives."""
    n_steps = exact_integer("network", "n_steps", n_steps)
    require(1 <= n_steps <= MAX_STEPS, f"network: n_steps {n_steps} is outside 1..{MAX_STEPS}")
    n_channels = layers[0].synapses[0].shape[1]
    return IntegerNetwork(
        built_from(InputEncoding, "encoding", extra["encoding"])
        if "encoding" in extra
        else InputEncoding(n_channels, time_step_ms=time_step_ms, values="binary", start="zero", n_steps=n_steps),
        layers,
        built_from(Readout, "readout", extra["readout"]) if "readout" in extra else Readout("sum", 1.0, 0, n_steps),
        n_steps,
        extra.get("target", NO_CHIP),
        extra.get("provenance", {"imported_from": name}),
        tuple(_as_list("class_names", extra.get("class_names", []))),
        extra.get("export", {}),
        signed="sha256" in extra,
    )


def _read_extra(file: StrictGroup) -> dict[str, Any]:
    """What delaytool keeps beside netx; empty for files of other tools."""
    if not file.has_attribute(EXTRA):
        return {}
    text = storable_text("netx", f"attribute {EXTRA}", file.attribute(EXTRA))
    try:
        extra = parse_json(text, constants_as_null=True)
    except ValueError as error:
        raise NetworkError(f"attribute {EXTRA}: this is not JSON ({error}); write it again") from None
    require(isinstance(extra, dict), f"attribute {EXTRA}: this is not an object of named values; write it again")
    return dict(extra)


def _as_list(name: str, value: Any) -> list[Any]:
    require(isinstance(value, list), f"attribute {EXTRA}: {name} is not a list; write it again")
    return list(value)


def _read_layers(group: StrictGroup, extra: dict[str, Any], clip_delays: bool) -> tuple[IntegerLayer, ...]:
    """The dense layers, in order. The input layer gives their first one's size, flatten layers give nothing."""
    layers: list[IntegerLayer] = []
    n_in: int | None = None
    names = _as_list("names", extra.get("names", []))
    count = len(group.names())
    for index in range(count):
        member = group.group_at(str(index))
        kind = _read_type(member)
        where = f"layer {index}"
        if kind == "input":
            if "neuron" in member:
                raise NetworkError(f"{where}: an input layer with neurons of its own is not supported; remove them")
            n_in = _read_size(member, where)
        elif kind == "dense":
            label = names[len(layers)] if len(layers) < len(names) else f"layer{len(layers) + 1}"
            layers.append(_read_dense(member, where, label, len(layers), n_in, clip_delays))
            n_in = layers[-1].n_neurons
        elif kind != "flatten":
            raise NetworkError(f"{where}: type {kind!r} is not supported; only 'input', 'dense' and 'flatten' are")
    if not layers:
        raise NetworkError("it has no dense layer, so there is nothing to import")
    if names:
        require(len(names) == len(layers), f"{len(layers)} layers have {len(names)} names; write the file again")
    return tuple(layers)


def _read_dense(
    group: StrictGroup, where: str, label: str, source: int, n_in: int | None, clip_delays: bool
) -> IntegerLayer:
    n_out = _read_size(group, where)
    if "weight" not in group or group.is_group("weight"):
        raise NetworkError(f"{where}: it has no weight matrix of real numbers; complex synapses are not supported")
    weight = _integers(group, "weight", where)
    if weight.size % n_out:
        raise NetworkError(f"{where}: {weight.size} weights do not divide into {n_out} neurons")
    weight = weight.reshape(n_out, -1)
    if n_in is not None and weight.shape[1] != n_in:
        raise NetworkError(f"{where}: its weights are for {weight.shape[1]} inputs, the layer before has {n_in}")
    if weight.size and (weight.min() < MIN_WEIGHT or weight.max() > MAX_WEIGHT):
        worst = weight.min() if weight.min() < MIN_WEIGHT else weight.max()
        raise NetworkError(
            f"{where}: weight {worst} is outside {MIN_WEIGHT}..{MAX_WEIGHT}, which is all that Loihi's synapses of "
            "mixed signs hold"
        )
    delay = _read_delay(group, where, weight.shape, clip_delays)
    if "neuron" not in group:
        raise NetworkError(f"{where}: it has no neuron description, so netx would never let its current decay")
    neuron = group.group_at("neuron")
    kind = _read_type(neuron)
    if kind not in NEURON_TYPES:
        raise NetworkError(f"{where}: neuron type {kind!r} is not supported; only {' and '.join(NEURON_TYPES)} are")
    i_decay = _scalar(neuron, "iDecay", where)
    if not 1 <= i_decay <= DECAY_UNITY:
        raise NetworkError(f"{where}: iDecay {i_decay} is outside 1..{DECAY_UNITY}, so du = iDecay - 1 is none")
    return IntegerLayer(
        name=label,
        n_neurons=n_out,
        synapses=(DenseSynapses(source, weight, delay),),
        dv=_scalar(neuron, "vDecay", where),
        threshold=_scalar(neuron, "vThMant", where),
        du=i_decay - 1,
        bias_mantissa=_read_bias(group, where, n_out),
        bias_exponent=BIAS_EXPONENT,
    )


def _read_delay(group: StrictGroup, where: str, shape: tuple[int, ...], clip_delays: bool) -> np.ndarray:
    """(n_out, n_in) from a matrix, from one number an output or (failing that) an input, or from one number."""
    if "delay" not in group:
        return np.zeros(shape, np.int64)
    delay = _integers(group, "delay", where)
    n_out, n_in = shape
    if delay.size == 1:
        delay = np.full(shape, delay.item())
    elif delay.ndim == 1 and delay.size == n_out:
        delay = np.repeat(delay.reshape(-1, 1), n_in, axis=1)
    elif delay.ndim == 1 and delay.size == n_in:
        delay = np.repeat(delay.reshape(1, -1), n_out, axis=0)
    elif delay.shape != shape:
        raise NetworkError(f"{where}: delay has shape {delay.shape}, which does not fit weights of shape {shape}")
    if delay.min(initial=0) < 0:
        raise NetworkError(f"{where}: delay {delay.min()} is negative")
    if delay.max(initial=0) > MAX_DELAY and not clip_delays:
        raise NetworkError(
            f"{where}: delay {delay.max()} exceeds netx's {MAX_DELAY}, to which lava-dl would clip it; "
            "import with --clip-delays to do the same"
        )
    return np.minimum(delay, MAX_DELAY)


def _read_bias(group: StrictGroup, where: str, n_out: int) -> np.ndarray:
    if "bias" not in group:
        return np.zeros(n_out, np.int64)
    bias = _integers(group, "bias", where).reshape(-1)
    if bias.size not in (1, n_out):
        raise NetworkError(f"{where}: {bias.size} biases for {n_out} neurons")
    return np.broadcast_to(bias, (n_out,)).copy()


def _read_type(group: StrictGroup) -> str:
    return group.text("type")


def _read_size(group: StrictGroup, where: str) -> int:
    """Neurons of a layer: the product of its shape."""
    shape = _integers(group, "shape", where).reshape(-1).tolist()
    size = math.prod(shape)
    if not shape or min(shape) < 1 or size > MAX_NEURONS:
        raise NetworkError(f"{where}: shape {shown(shape)} is not that of 1 to {MAX_NEURONS} neurons")
    return size


def _integers(group: StrictGroup, name: str, where: str) -> np.ndarray:
    """A dataset as int64; other tools store whole numbers as floats."""
    array = group.array(name, "iuf")
    what = f"{where}: {name}"
    if array.dtype.kind == "f":
        beyond = ~(np.abs(array.astype(np.float64)) < 2.0**53)  # and what is not a number
        if beyond.any():
            raise NetworkError(f"{what} {array[beyond].flat[0]} is not a whole number that a float can hold")
    elif array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise NetworkError(f"{what} {array.max()} is too large")
    whole = array.astype(np.int64)
    if not np.array_equal(whole, array):
        raise NetworkError(f"{what} {array[whole != array].flat[0]} is not a whole number; quantize before export")
    return whole


def _scalar(group: StrictGroup, name: str, where: str) -> int:
    array = _integers(group, name, where)
    if array.size != 1:
        raise NetworkError(f"{where}: {name} has {array.size} values; one per layer is supported")
    return int(array.reshape(-1)[0])
