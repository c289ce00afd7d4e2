"""Each form of the convolution, forward and backward, beside what `models/convolution/choice.py` counts for it.

    python benchmarks/convolution_forms.py

One thread; the best of a few rounds, in milliseconds, and the estimate in brackets. A star marks what 'auto' takes.
"""

from __future__ import annotations

import argparse
import time

import torch

from delaytool.models.convolution import choice
from delaytool.models.delayed_linear import DelayedLinear
from delaytool.trainer.processor import keep_freed_memory

# name: (time, batch, n_in, n_out, n_steps, size, whether a gradient to the input is wanted)
LAYERS = {
    "SHD hidden1": (100, 256, 140, 256, 112, 25, False),
    "SHD hidden2": (112, 256, 256, 256, 124, 25, True),
    "SHD readout": (124, 256, 256, 20, 136, 25, True),
    "SHD, 700 channels": (100, 64, 700, 256, 112, 25, False),
    "SHD, 700 channels, 1 ms": (1000, 16, 700, 256, 1100, 250, False),
}
DENSITIES = (0.005, 0.02, 0.1)
SIGMAS = (12.0, 1.7, 0.23)
FORMS = ("direct", "fft", "windowed")


def best_seconds(layer: DelayedLinear, x: torch.Tensor, n_steps: int, sigma: float, rounds: int) -> float:
    grad = torch.randn(n_steps, x.shape[1], layer.weight.shape[0])
    seconds = []
    for _ in range(rounds + 1):
        layer.zero_grad()
        begin = time.perf_counter()
        layer(x, n_steps, sigma).backward(grad)
        seconds.append(time.perf_counter() - begin)
    return min(seconds[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--layers", nargs="+", default=list(LAYERS), choices=list(LAYERS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    keep_freed_memory()
    for name in options.layers:
        steps, batch, n_in, n_out, n_steps, size, input_grad = LAYERS[name]
        print(f"\n{name}: {steps} steps, batch {batch}, {n_in} to {n_out}, {size} taps")
        for density in DENSITIES:
            x = (torch.rand(steps, batch, n_in) < density).float().requires_grad_(input_grad)
            for sigma in SIGMAS:
                cells = []
                chosen = DelayedLinear(n_in, n_out, size - 1)._form(x, n_steps, sigma)
                for form in FORMS:
                    if form == "direct" and size > 100:
                        continue  # minutes
                    layer = DelayedLinear(n_in, n_out, size - 1, convolution=form)
                    taken = best_seconds(layer, x, n_steps, sigma, options.rounds)
                    estimate = choice.costs(layer.work(x, n_steps, sigma))[form]
                    star = "*" if form == chosen else " "
                    cells.append(f"{form} {taken * 1e3:7.1f} ({estimate / 1e6:7.1f}){star}")
                print(f"  density {density:<6} sigma {sigma:<5}  " + "   ".join(cells), flush=True)


if __name__ == "__main__":
    main()
