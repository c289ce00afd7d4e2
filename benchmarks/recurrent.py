"""The cost of a layer's recurrence: one training step with and without, and the loop over time in its two forms.

    python benchmarks/recurrent.py --neurons 256 --batch 64 --steps 100 --max-delay 24

CPU seconds of one thread, the least of some repetitions: what else runs on the machine matters little.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from delaytool.models.config import ModelConfig
from delaytool.models.delay_network import HiddenLayer, delayed_linear
from delaytool.models.neurons import compiled, stepwise


def seconds(work: Callable[[], object], repetitions: int) -> float:
    work()  # compiles
    taken = []
    for _ in range(repetitions):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def training_step(layer: HiddenLayer, x: torch.Tensor, sigma: float | None) -> None:
    layer(x, len(x), sigma).sum().backward()


@torch.no_grad()
def loop_seconds(
    layer: HiddenLayer, x: torch.Tensor, sigma: float | None, repetitions: int
) -> tuple[list[float], float]:
    """(seconds of the loop: events, stepwise, backwards; spikes per neuron and step)."""
    assert layer.recurrent is not None
    current, taps = layer.current(x, len(x), sigma), layer.recurrent.taps(sigma)
    constants, kernel = layer.neurons.constants, taps.kernel()
    spikes, v, left = stepwise.recurrent_forward(current, taps, constants)
    works: list[Callable[[], object]] = [
        lambda: compiled.events_forward(current, taps, constants),
        lambda: stepwise.recurrent_forward(current, taps, constants),
        lambda: stepwise.recurrent_backward(current, v, left, kernel, constants),
    ]
    return [seconds(work, repetitions) for work in works], float(spikes.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("neurons", 256), ("batch", 64), ("steps", 100), ("max-delay", 24), ("repetitions", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    n = given.neurons
    x = (torch.rand(given.steps, given.batch, n) < 0.04).float().requires_grad_()
    print(
        f"{n} neurons, batch {given.batch}, {given.steps} steps, delays 0..{given.max_delay}; CPU seconds, one thread"
    )
    print("sigma   feed-forward   recurrent   loop forward: by events   stepwise   loop backward   spikes per step")
    for sigma in (given.max_delay / 2, 0.5, None):
        steps = {}
        for recurrent in (False, True):
            config = ModelConfig(hidden=(n,), max_delay=given.max_delay, tau=2.0, timing="chip")
            synapses, within = (delayed_linear(n, n, config.synapses) for _ in range(2))
            layer = HiddenLayer(config, synapses, within if recurrent else None)
            steps[recurrent] = seconds(
                lambda layer=layer, sigma=sigma: training_step(layer, x, sigma), given.repetitions
            )
        forms, rate = loop_seconds(layer, x, sigma, given.repetitions)
        print(
            f"{'none' if sigma is None else f'{sigma:.1f}':5} {steps[False]:14.2f} {steps[True]:11.2f} "
            f"{forms[0]:24.3f} {forms[1]:10.3f} {forms[2]:15.3f} {rate:15.3f}"
        )


if __name__ == "__main__":
    main()
