"""Which form of the convolution is cheapest: a count of the work that each would do, in nanoseconds of one core.

The constants were measured on one AVX-512 core (`benchmarks/convolution_forms.py` prints them for yours). Only their
ratios matter, and only near a tie; the choice depends on sizes and on the input alone, never on a clock, so that a
run repeats to the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from delaytool.models.convolution import transform
from delaytool.models.convolution.event_kernels import WIDTHS, laid_out_width

DIRECT_NS = 1 / 45  # a multiplication of the library's convolution
TRANSFORM_NS = 1 / 75  # a multiplication of the transform's matrix products
EVENT_NS = (0.7, 0.11)  # an event and output: at least, and for every tap of the window as it is laid out
LONG_EVENT_NS = 0.2  # a tap of windows so wide that they come from memory
INPUT_NS, OUTPUT_NS = 3.5, 1.5  # finding the events among the input's values, laying out the output's
COMPILED_NS = 5e6  # work below which compiling the event loops is not worth the wait
# In recurrent layers (`benchmarks/recurrent.py`): events miss the cache more often, products are plain ones.
RECURRENT_EVENT_NS = (1.0, 0.16)
PRODUCT_NS = 1 / 64
STEP_NS = 1.5e5  # PyTorch's calls of one step
COMPILED_TYPES = (torch.float32, torch.float64)  # of numbers that compiled loops take


@dataclass(frozen=True)
class Work:
    """The sizes of one layer's convolution.

    density     share of the input that is not zero
    window      steps of a tap's window, at most `size`
    input_grad  whether a gradient to the input is wanted
    events      whether the event loops take the layer's type
    """

    time: int
    batch: int
    n_in: int
    n_out: int
    n_steps: int
    size: int
    taps: int
    window: int
    density: float
    device: str
    training: bool
    input_grad: bool
    events: bool = True

    @property
    def passes(self) -> int:
        """The products of a training step: forward, to the weights, to the input."""
        return 1 + self.training + self.input_grad


def density(x: Tensor) -> float:
    """Share of (time, batch, channel) values that are not zero, by every eighth batch entry.

    On a GPU counting would make the host wait.
    """
    some = x.detach()[:, ::8]
    return float(some.count_nonzero()) / max(1, some.numel())


def events_are_cheaper(spikes: float, rows: int, steps: int, shape: tuple[int, ...], size: int) -> bool:
    """Whether, for a sum over kernels of `size` step by step, adding windows costs less than a matrix product per step.

    spikes   (or an estimate) in `rows` = time * batch rows of input
    steps    products that it would take
    shape    of the windows, (n_out, n_in, taps, width)
    """
    n_out, n_in, taps, width = shape
    events = spikes * n_out * taps * (RECURRENT_EVENT_NS[0] + RECURRENT_EVENT_NS[1] * width)
    return events < rows * n_in * n_out * size * PRODUCT_NS + steps * STEP_NS


def choose(work: Work) -> str:
    """'direct', 'fft' or 'windowed', whichever is fastest by these counts."""
    if work.device != "cpu":
        return "fft"
    counted = costs(work)
    if not work.events or min(counted["direct"], counted["fft"]) < COMPILED_NS:
        del counted["windowed"]
    return min(counted, key=lambda form: counted[form])


def costs(work: Work) -> dict[str, float]:
    """Nanoseconds of one core that each form is expected to take, on a CPU."""
    return {"direct": _direct(work), "fft": _transform(work) * work.passes, "windowed": _events(work)}


def _direct(work: Work) -> float:
    products = work.n_steps * work.batch * work.n_in * work.n_out * work.size
    return DIRECT_NS * products * work.passes


def _transform(work: Work) -> float:
    steps = min(work.time, work.n_steps)
    sizes = (steps, work.size, work.batch, work.n_in, work.n_out)
    return TRANSFORM_NS * transform.work(transform.block_length(*sizes), *sizes)


def _events(work: Work) -> float:
    events = work.density * min(work.time, work.n_steps) * work.batch * work.n_in
    least, per_tap = EVENT_NS
    width = laid_out_width(work.window)
    per_window = least + width * (per_tap if width <= WIDTHS[-1] else LONG_EVENT_NS)
    per_pass = events * work.n_out * work.taps * per_window
    per_pass += work.batch * (INPUT_NS * work.time * work.n_in + OUTPUT_NS * work.n_steps * work.n_out)
    passes = 1 + work.training
    return per_pass * passes + _transform(work) * work.input_grad
