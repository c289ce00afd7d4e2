"""Compiles every Triton kernel of the package for an NVIDIA card of compute capability 9.0; no card is needed."""

from __future__ import annotations

import inspect
from itertools import product
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from delaytool.models.neurons import triton_loops

SWITCHES = {
    "MASKED": (False, True),
    "DETACH": (False, True),
    "BACKWARDS": (False, True),
    "BLOCK": (128,),
}
NUMBERS = ("neurons", "time")
KERNELS = (
    triton_loops._lif_forward, triton_loops._lif_backward, triton_loops._adaptive_forward,
    triton_loops._adaptive_backward, triton_loops._integrate,
)  # fmt: skip


def compiled(kernel: Any, chosen: dict[str, object], kind: str) -> int:
    """Bytes of the card's code. Numbers that `chosen` holds are constants, as Triton makes of those that are 1."""
    names = list(inspect.signature(kernel.fn).parameters)
    types = {name: "i32" if name in NUMBERS else f"*{kind}" for name in names}
    signature = {name: "constexpr" if name in chosen else types[name] for name in names}
    source = ASTSource(fn=kernel, signature=signature, constexprs=chosen)
    return len(triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"])


def main() -> None:
    count = 0
    for kernel in KERNELS:
        names = inspect.signature(kernel.fn).parameters
        switches = {name: values for name, values in SWITCHES.items() if name in names}
        for values in product(*switches.values()):
            chosen = dict(zip(switches, values, strict=True))
            assert compiled(kernel, chosen, "fp64" if count % 2 else "fp32") > 0
            count += 1
        ones = {name: 1 for name in NUMBERS if name in names}
        assert compiled(kernel, {**{name: values[-1] for name, values in switches.items()}, **ones}, "fp32") > 0
        count += 1
    print(count)


if __name__ == "__main__":
    main()
