"""What would make a network fit: each way is applied to the recipe's design and checked before it is offered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from delaytool.hw_configs import Target
from delaytool.mapping.design import Design
from delaytool.mapping.fit import Fit, fit
from delaytool.mapping.shape import shape_of_design
from delaytool.models.config import why_no_integers

# (low, high, whether a value holds) to the largest that does.
Search: TypeAlias = Callable[[int, int, Callable[[int], bool]], int | None]


@dataclass(frozen=True, eq=False)
class WayOut:
    """Keys of the recipe and their values, with which the network fits, and the fit with them."""

    settings: tuple[str, ...]
    fit: Fit

    def describe(self) -> str:
        """'--set model.max_delay=62: about 104.0 KiB on 3 cores'."""
        options = " ".join(f"--set {setting}" for setting in self.settings)
        cores = self.fit.packing.count
        return f"{options}: about {self.fit.synapse_bytes / 1024:,.1f} KiB on {cores} core{'s' if cores != 1 else ''}"


def ways_out(design: Design, target: Target, cores: int | None = None) -> list[WayOut]:
    """The nearest changes, one key at a time beside those that every way needs, with which the design fits.

    Empty where it fits already, or where no single change helps. Every way has been checked by `fit` itself.
    """

    def check(candidate: Design) -> Fit:
        return fit(shape_of_design(candidate, target), target, cores)

    if check(design).fits:
        return []
    base, needed = _needed(design, target)
    if base != design and (made := check(base)).fits:
        return [WayOut(needed, made)]
    found: dict[tuple[str, ...], WayOut] = {}
    for candidate, setting in _single_changes(base, lambda one: check(one).fits, _search_for(target)):
        made = check(candidate)
        if made.fits:
            kept = tuple(each for each in needed if each.partition("=")[0] != setting.partition("=")[0])
            settings = (*kept, setting)
            found.setdefault(settings, WayOut(settings, made))
    return list(found.values())


def _needed(design: Design, target: Target) -> tuple[Design, tuple[str, ...]]:
    """What must change whatever else does: delays, taps, recurrence and payloads beyond the chip's, other neurons."""
    limits, settings = target.limits, []
    if design.delays != "none" and design.max_delay > limits.delay_max:
        design = replace(design, max_delay=limits.delay_max)
        settings.append(f"model.max_delay={limits.delay_max}")
    if design.delays != "none" and any(design.recurrent) and design.within_max_delay > limits.delay_max:
        design = replace(design, recurrent_max_delay=limits.delay_max)
        settings.append(f"model.recurrent_max_delay={limits.delay_max}")
    taps, groups = limits.taps_per_synapse_max, limits.groups_per_layer_max
    if groups is not None and any(design.recurrent) and groups < 2:
        design = replace(design, recurrent=(False,) * len(design.hidden))
        settings.append("model.recurrent=false")
    if taps is not None and design.delays == "dense" and design.taps_for(design.max_delay) > taps:
        design = replace(design, delays="learned")
        settings.append("model.delays=learned")
    if taps is not None and design.taps_for(design.max_delay) > taps:
        design = replace(design, kernel_count=taps)
        settings.append(f"model.kernel_count={taps}")
    if design.payload_is_known and design.max_payload > limits.payload_max:
        if design.values == "graded":
            bits = (limits.payload_max + 1).bit_length() - 1
            if bits >= 1:
                design = replace(design, max_payload=(1 << bits) - 1)
                settings.append(f"data.input_bits={bits}")
        else:
            design = replace(design, max_payload=limits.payload_max)
            settings.append(f"data.max_count={limits.payload_max}")
    if why_no_integers(design.neuron):
        design = replace(design, neuron="lif")
        settings.append("model.neuron=lif")
    return design, tuple(settings)


def _sparser(design: Design, share: float) -> Design:
    """Every layer as sparse as this, or more where it was."""
    return replace(design, sparsities=tuple(max(own, share) for own in design.sparsities))


def _single_changes(design: Design, fits: Callable[[Design], bool], nearest: Search) -> Iterator[tuple[Design, str]]:
    """The nearest value of each key at which the design fits, if there is one; none is offered unchecked."""
    if design.delays != "none" and design.max_delay > 0:
        longest = nearest(0, design.max_delay - 1, lambda value: fits(replace(design, max_delay=value)))
        if longest is not None:
            yield replace(design, max_delay=longest), f"model.max_delay={longest}"
    if design.hidden:
        widest = max(design.hidden)
        width = nearest(1, widest - 1, lambda value: fits(with_width(design, value)))
        if width is not None:
            made = with_width(design, width)
            yield made, f"model.hidden=[{','.join(map(str, made.hidden))}]"
    first = round(min(design.sparsities) * 100) + 1
    # Monotone from the other end: the sparser, the smaller.
    dense = nearest(1, 100 - first, lambda value: fits(_sparser(design, (100 - value) / 100)))
    if dense is not None:
        made = _sparser(design, (100 - dense) / 100)
        shares = [f"{share:g}" for share in made.sparsities]
        yield made, f"model.sparsity={shares[0] if len(set(shares)) == 1 else '[' + ','.join(shares) + ']'}"
    if design.delays == "dense":
        yield replace(design, delays="learned"), "model.delays=learned"
    elif design.delays != "none" and design.kernel_count > 1:
        taps = nearest(1, design.kernel_count - 1, lambda value: fits(replace(design, kernel_count=value)))
        if taps is not None:
            yield replace(design, kernel_count=taps), f"model.kernel_count={taps}"


def _search_for(target: Target) -> Search:
    """How the largest value that fits is found.

    Neurons are spread evenly over cores, so that with limits on a core's axons a wider layer may fit where a narrower
    one does not: then each value is tried.
    """
    return largest_of_all if target.axons is not None and target.axons.is_own else largest


def with_width(design: Design, widest: int) -> Design:
    """Every hidden layer scaled so that the widest has so many neurons; none has less than one."""
    most = max(design.hidden)
    return replace(design, hidden=tuple(max(1, neurons * widest // most) for neurons in design.hidden))


def largest_of_all(low: int, high: int, holds: Callable[[int], bool]) -> int | None:
    """The largest value in low..high for which `holds`; None where nowhere."""
    return next((value for value in range(high, low - 1, -1) if holds(value)), None)


def largest(low: int, high: int, holds: Callable[[int], bool]) -> int | None:
    """The largest value in low..high for which `holds`, where it holds from low up to there; None where nowhere."""
    if high < low or not holds(low):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low
