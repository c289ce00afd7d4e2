"""Convolution through frequencies against the direct form, outputs and gradients."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from delaytool.models.convolution import delayed_sum


def plain(x, kernel, n_steps):
    out = torch.zeros(n_steps, x.shape[1], kernel.shape[0], dtype=x.dtype)
    for t in range(n_steps):
        for j in range(kernel.shape[2]):
            if 0 <= t - j < x.shape[0]:
                out[t] = out[t] + x[t - j] @ kernel[:, :, j].t()
    return out


@given(
    seed=st.integers(0, 2**31), time=st.integers(1, 20), batch=st.integers(1, 3), n_in=st.integers(1, 4),
    n_out=st.integers(1, 4), size=st.integers(1, 12), n_steps=st.integers(1, 40),
)  # fmt: skip
def test_every_method_equals_the_double_loop(seed, time, batch, n_in, n_out, size, n_steps):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(time, batch, n_in, generator=generator, dtype=torch.float64)
    kernel = torch.randn(n_out, n_in, size, generator=generator, dtype=torch.float64)
    probe = torch.randn(n_steps, batch, n_out, generator=generator, dtype=torch.float64)
    results = []
    for run in (plain, lambda *args: delayed_sum(*args, "direct"), lambda *args: delayed_sum(*args, "fft")):
        inputs = x.clone().requires_grad_(), kernel.clone().requires_grad_()
        out = run(*inputs, n_steps)
        (out * probe).sum().backward()
        results.append((out.detach(), *(given.grad for given in inputs)))
    for result in results[1:]:
        for ours, expected in zip(result, results[0], strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
