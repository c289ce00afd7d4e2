"""Whether a network fits a chip: every limit, what is used of it, and what is exceeded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from delaytool.contract.limits import NO_CHIP, bits_for, bits_per_synapse
from delaytool.contract.neuron_memory import packed_bytes
from delaytool.hw_configs import Target
from delaytool.mapping.cores import Core, Packing, axons, pack
from delaytool.mapping.shape import LayerShape, NetworkShape

# Whether exceeding a limit is an error: it is the chip's; it depends on the data; it is another chip's figure.
BINDING, POSSIBLE, NOT_PUBLIC = "limit", "data decide", "not public"
# Between the names of layers that lie on one core.
BESIDE = "+"


@dataclass(frozen=True)
class Limit:
    """One limit of the chip and what the network uses of it.

    place       'input', 'network', a layer's name, or those of all layers on one core: 'hidden1+hidden2'
    quantity    what is limited; `unit` is '' for plain numbers
    value       what the network needs; high: an upper bound of an estimate, where it has a range
    limit       what the chip admits; is_lower: the value must not be below it, else not above it
    source      where the limit comes from
    kind        BINDING, POSSIBLE or NOT_PUBLIC
    """

    place: str
    quantity: str
    value: int
    limit: int
    source: str
    unit: str = ""
    high: int | None = None
    is_lower: bool = False
    kind: str = BINDING

    @property
    def is_exceeded(self) -> bool:
        return self.value < self.limit if self.is_lower else self.value > self.limit

    @property
    def may_be_exceeded(self) -> bool:
        """The estimate keeps it, its upper bound does not."""
        return not self.is_exceeded and self.high is not None and self.high > self.limit

    @property
    def headroom(self) -> int:
        """What is left; below 0 what is too much."""
        return self.value - self.limit if self.is_lower else self.limit - self.value

    @property
    def owner(self) -> str:
        """'input', 'network', 'layer hidden1', 'layers hidden1+hidden2'."""
        if self.place in ("input", "network"):
            return self.place
        return f"layer{'s' if BESIDE in self.place else ''} {self.place}"

    def describe(self) -> str:
        """'layer hidden1: longest delay 80 exceeds 62 by 18'."""
        verb = "is below" if self.is_lower else "exceeds"
        value, limit, by = _format_amounts(self.unit, self.value, self.limit, abs(self.headroom))
        return f"{self.owner}: {self.quantity} {value} {verb} {limit} by {by}"


def format_amount(value: int, unit: str) -> str:
    """'37.9 KiB' of bytes, '1,024' of plain numbers."""
    if unit == "bytes":
        return f"{value / 1024:,.1f} KiB"
    return f"{value:,}"


def _format_amounts(unit: str, *values: int) -> list[str]:
    """As `format_amount`, but in bytes where KiB would make two of them, or one and 0, the same."""
    different = {0, *values}
    if len({format_amount(value, unit) for value in different}) == len(different):
        return [format_amount(value, unit) for value in values]
    return [f"{value:,} {unit}".strip() for value in values]


@dataclass(frozen=True, eq=False)
class Fit:
    """A network's shape on a chip.

    cores_allowed   the chip's, or fewer where the user gave a budget
    """

    shape: NetworkShape
    target: Target
    packing: Packing
    cores_allowed: int
    limits: tuple[Limit, ...]

    @property
    def exceeded(self) -> tuple[Limit, ...]:
        """Limits of the chip that the network breaks."""
        return tuple(limit for limit in self.limits if limit.kind == BINDING and limit.is_exceeded)

    @property
    def fits(self) -> bool:
        return not self.exceeded and not self.shape.refused

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it does not fit, a line each."""
        refused = (f"network: {self.shape.refused}",) if self.shape.refused else ()
        return (*refused, *(limit.describe() for limit in self.exceeded))

    @property
    def doubts(self) -> tuple[str, ...]:
        """What may not fit although the estimate does, a line each."""
        lines = [f"network: {self.shape.doubt}"] if self.shape.doubt else []
        for limit in self.limits:
            if limit.kind == POSSIBLE and limit.is_exceeded:
                lines.append(f"{limit.describe()}; the largest in the training data decides it")
            elif limit.kind == NOT_PUBLIC and limit.is_exceeded:
                lines.append(f"{limit.describe()}, which is another chip's figure: {self.target.name}'s is not public")
            elif limit.may_be_exceeded and limit.high is not None:
                high, most = _format_amounts(limit.unit, limit.high, limit.limit)
                lines.append(f"{limit.owner}: {limit.quantity} may be up to {high} (Loihi 1's packing), above {most}")
        return tuple(dict.fromkeys(lines))

    @property
    def synapse_bytes(self) -> int:
        """By the exporter's formula, all cores."""
        return sum(memory(layer, self.target).total for layer in self.shape.layers)

    @property
    def high_bytes(self) -> int:
        """In Loihi 1's blocks, all cores; the estimate itself where no core is laid out."""
        return sum(core.high_bytes for core in self.packing.cores) or self.synapse_bytes


@dataclass(frozen=True)
class Memory:
    """Bytes of a layer's synapses by what they hold: the parts are rounded down, the total is the exporter's."""

    weights: int
    delays: int
    indices: int
    total: int


def memory(layer: LayerShape, target: Target) -> Memory:
    """What weights, delays and (in lists) target indices take.

    `total` is `contract.limits.synapse_bytes` over the layer's groups: each packed, in units of 64 bits.
    """
    weights = delays = indices = total = 0
    for group in layer.groups:
        stored = int(group.stored.sum())
        weights += stored * target.limits.weight_bits
        delays += stored * bits_for(group.max_delay)
        indices += 0 if group.is_matrix else stored * bits_for(group.n_out - 1)
        total += packed_bytes(stored * bits_per_synapse(group.max_delay, group.n_out, group.is_matrix, target))
    return Memory(weights // 8, delays // 8, indices // 8, total)


def fit(shape: NetworkShape, target: Target, cores: int | None = None) -> Fit:
    """Every limit of the chip on a network's shape.

    cores   a budget below the chip's own number; layers then share cores where that is needed to keep it
    """
    allowed = target.limits.cores if cores is None else min(cores, target.limits.cores)
    packing = pack(shape, target, None if cores is None else allowed)
    # A network for no chip has the contract's own limits, which it keeps: `check_target` asks for no other.
    of_integers = () if shape.exported and target.name == NO_CHIP else tuple(_integers(shape, target))
    limits = (*of_integers, *_cores(shape, target, packing, allowed))
    # Layers that share their fullest core have that core's limits in common.
    return Fit(shape, target, packing, allowed, tuple(dict.fromkeys(limits)))


def layers_of(shape: NetworkShape, core: Core) -> str:
    """The names of the layers that have neurons on a core: 'hidden1+hidden2'."""
    return BESIDE.join(shape.layers[part.layer].name for part in core.parts)


def _integers(shape: NetworkShape, target: Target) -> Iterator[Limit]:
    kind = BINDING if shape.payload_is_known else POSSIBLE
    source = target.sources["payload_max"]
    yield Limit("input", "largest value", shape.max_payload, target.limits.payload_max, source, kind=kind)
    for layer in shape.layers:
        yield from _layer(layer, target)


def _layer(layer: LayerShape, target: Target) -> Iterator[Limit]:
    limits, sources = target.limits, target.sources
    longest = max((group.max_delay for group in layer.groups), default=0)
    yield Limit(layer.name, "longest delay", longest, limits.delay_max, sources["delay_max"], "steps")
    taps = max((group.taps for group in layer.groups), default=0)
    for name, value, most, field in (
        ("taps per synapse", taps, limits.taps_per_synapse_max, "taps_per_synapse_max"),
        ("synapse groups", len(layer.groups), limits.groups_per_layer_max, "groups_per_layer_max"),
    ):
        if most is not None:
            yield Limit(layer.name, name, value, most, sources[field])
    values = layer.values
    if not values:
        return
    low, high = values["weight"]
    yield Limit(layer.name, "smallest weight", low, limits.weight_min, sources["weight_min"], is_lower=True)
    yield Limit(layer.name, "largest weight", high, limits.weight_max, sources["weight_max"])
    common = values["weight multiple"][1]
    yield Limit(
        layer.name, "remainder of weights", common % limits.weight_step, 0, sources["weight_step"]
    )  # 0 where all are multiples of the step
    for name, field in (
        ("weight exponent", "weight_exponent_max"), ("du", "decay_max"), ("dv", "membrane_decay_max"),
        ("threshold", "threshold_max"), ("bias exponent", "bias_exponent_max"), ("bias mantissa", "bias_mantissa_max"),
    ):  # fmt: skip
        yield Limit(layer.name, name, values[name][1], getattr(limits, field), sources[field])
    for name, field in (("bias exponent", "bias_exponent_min"), ("bias mantissa", "bias_mantissa_min")):
        yield Limit(layer.name, name, values[name][0], getattr(limits, field), sources[field], is_lower=True)


def _cores(shape: NetworkShape, target: Target, packing: Packing, allowed: int) -> Iterator[Limit]:
    limits, sources = target.limits, target.sources
    for index, size in packing.oversized:
        yield Limit(
            shape.layers[index].name, "memory of one neuron's synapses", size, limits.synapse_bytes_per_core,
            sources["synapse_bytes_per_core"], "bytes",
        )  # fmt: skip
    for number in range(len(shape.layers)):
        parts = [part for core in packing.cores for part in core.parts if part.layer == number]
        if not parts or number in [index for index, _ in packing.oversized]:
            continue
        of_layer = [packing.cores[core] for core in packing.cores_of(number)]
        crowded = max(of_layer, key=lambda core: core.neurons)
        yield Limit(
            layers_of(shape, crowded), "neurons per core", crowded.neurons, limits.neurons_per_core,
            sources["neurons_per_core"],
        )  # fmt: skip
        fullest = max(of_layer, key=lambda core: (core.n_bytes, core.high_bytes))
        yield Limit(
            layers_of(shape, fullest), "memory per core", fullest.n_bytes, limits.synapse_bytes_per_core,
            sources["synapse_bytes_per_core"], "bytes", max(core.high_bytes for core in of_layer),
        )  # fmt: skip
    if target.axons is not None and packing.cores:
        inward, outward = axons(shape, packing)
        kind = BINDING if target.axons.is_own else NOT_PUBLIC
        for name, most, limit in (
            ("axons into a core", int(inward.max()), target.axons.inward),
            ("axons out of a core", int(outward.max()), target.axons.outward),
        ):
            yield Limit("network", name, most, limit, target.axons.source, kind=kind)
    source = sources["cores"] if allowed == limits.cores else "the budget that was given"
    yield Limit("network", "cores", packing.count, allowed, source)
    if packing.shares_cores:  # the exporter counts layers apart
        yield Limit("network", "cores, layers apart", pack(shape, target).count, limits.cores, sources["cores"])
