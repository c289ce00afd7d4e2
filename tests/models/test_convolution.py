"""Every form of the convolution against the double loop, outputs and gradients."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from delaytool.models.convolution import Windows, delayed_sum, events, staged, taps_gradient, through_events, two_stages
from delaytool.models.convolution.transform import _Plan, n_rows, through_transform, transform


def plain(x, kernel, n_steps):
    out = torch.zeros(n_steps, x.shape[1], kernel.shape[0], dtype=x.dtype)
    for t in range(n_steps):
        for j in range(kernel.shape[2]):
            if 0 <= t - j < x.shape[0]:
                out[t] = out[t] + x[t - j] @ kernel[:, :, j].t()
    return out


def outputs_and_gradients(run, inputs, n_steps, seed):
    inputs = [given.clone().requires_grad_() for given in inputs]
    out = run(*inputs, n_steps)
    probe = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed), dtype=out.dtype)
    (out * probe).sum().backward()
    return (out.detach(), *(given.grad for given in inputs))


def assert_same(results, tolerance=1e-10):
    first, *others = results
    for other in others:
        for ours, expected in zip(other, first, strict=True):
            torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance)


sizes = dict(
    seed=st.integers(0, 2**31), time=st.integers(1, 20), batch=st.integers(0, 3), n_in=st.integers(1, 4),
    n_out=st.integers(1, 4), size=st.integers(1, 12), n_steps=st.integers(1, 40),
)  # fmt: skip


def random_input(seed, time, batch, n_in, density=1.0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(time, batch, n_in, generator=generator, dtype=torch.float64)
    return x * (torch.rand(x.shape, generator=generator) < density), generator


@given(**sizes, density=st.sampled_from([0.0, 0.2, 1.0]))
def test_every_form_equals_the_double_loop(seed, time, batch, n_in, n_out, size, n_steps, density):
    x, generator = random_input(seed, time, batch, n_in, density)
    kernel = torch.randn(n_out, n_in, size, generator=generator, dtype=torch.float64)
    forms = [plain] + [
        lambda *args, form=form: delayed_sum(*args, form) for form in ("direct", "fft", "staged", "events")
    ]
    assert_same([outputs_and_gradients(form, (x, kernel), n_steps, seed) for form in forms])


@given(**sizes, taps=st.integers(1, 3), width=st.integers(1, 12))
def test_windows_equal_the_kernels_that_they_stand_for(seed, time, batch, n_in, n_out, size, n_steps, taps, width):
    width = min(width, size)
    x, generator = random_input(seed, time, batch, n_in, 0.3)
    values = torch.randn(n_out, n_in, taps, width, generator=generator, dtype=torch.float64)
    start = torch.randint(0, size - width + 1, (n_out, n_in, taps), generator=generator)

    def windowed(x, values, n_steps):
        return through_events(x, Windows(values, start, size), n_steps)

    def whole(x, values, n_steps):
        return plain(x, Windows(values, start, size).kernel(), n_steps)

    assert_same([outputs_and_gradients(run, (x, values), n_steps, seed) for run in (whole, windowed)])


@given(**sizes, taps=st.integers(1, 3), density=st.sampled_from([0.0, 0.3]))
def test_the_gradient_to_taps_is_the_same_by_events_and_by_products(
    seed, time, batch, n_in, n_out, size, n_steps, taps, density
):
    x, generator = random_input(seed, time, batch, n_in, density)
    windows = Windows(
        torch.randn(n_out, n_in, taps, 1, generator=generator, dtype=torch.float64).requires_grad_(),
        torch.randint(0, size, (n_out, n_in, taps), generator=generator),
        size,
    )
    grad = torch.randn(n_steps, batch, n_out, generator=generator, dtype=torch.float64)
    (plain(x, windows.kernel(), n_steps) * grad).sum().backward()
    for cheaper in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(events, "events_are_cheaper", lambda *sizes, answer=cheaper: answer)
            torch.testing.assert_close(taps_gradient(x, grad, windows), windows.taps.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("time", "size", "n_steps"), [(300, 5, 310), (300, 25, 250), (64, 200, 400)])
def test_long_inputs_are_cut_into_blocks_that_add_up(time, size, n_steps):
    x, generator = random_input(0, time, 2, 3)
    kernel = torch.randn(4, 3, size, generator=generator, dtype=torch.float64)
    forms = [lambda *args, form=form: delayed_sum(*args, form) for form in ("direct", "fft")]
    assert_same([outputs_and_gradients(form, (x, kernel), n_steps, 0) for form in forms])


@pytest.mark.parametrize("rows", [1, 1024])
@given(**sizes)
def test_counts_of_spikes_stay_bytes_until_they_are_transformed(rows, seed, time, batch, n_in, n_out, size, n_steps):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 3, (batch, time, n_in), generator=generator, dtype=torch.uint8).transpose(0, 1)
    kernel = torch.randn(n_out, n_in, size, generator=generator, dtype=torch.float64)
    forms = [
        lambda kernel, n_steps, form=form: delayed_sum(x, kernel, n_steps, form) for form in ("direct", "fft", "events")
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Plan, "ROWS_AT_A_TIME", rows)
        assert_same([outputs_and_gradients(form, (kernel,), n_steps, seed) for form in forms])


def test_the_transforms_rounding_in_float32_is_a_few_millionths_of_the_largest_value():
    x, generator = random_input(0, 500, 4, 16)
    kernel = torch.randn(16, 16, 60, generator=generator, dtype=torch.float64)
    exact = delayed_sum(x, kernel, 520, "direct")
    error = (through_transform(x.float(), kernel.float(), 520) - exact).abs().max() / exact.abs().max()
    assert error < 3e-6


@given(
    seed=st.integers(0, 2**31), time=st.integers(1, 60), batch=st.integers(1, 3), n_in=st.integers(1, 6),
    n_out=st.integers(1, 4), size=st.integers(1, 30), n_steps=st.integers(1, 110), blocks=st.integers(1, 4),
    chunk=st.sampled_from([1, 2000, 2**28]),
)  # fmt: skip
def test_transforms_in_two_stages_equal_the_double_loop(seed, time, batch, n_in, n_out, size, n_steps, blocks, chunk):
    x, generator = random_input(seed, time, batch, n_in)
    kernel = torch.randn(n_out, n_in, size, generator=generator, dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staged, "n_blocks", lambda steps, *sizes: min(blocks, steps))
        patch.setattr(staged, "CHUNK_BYTES", chunk)
        assert_same(
            [outputs_and_gradients(form, (x, kernel), n_steps, seed) for form in (plain, staged.through_stages)]
        )
        counts = torch.randint(0, 3, (batch, time, n_in), generator=generator, dtype=torch.uint8).transpose(0, 1)
        as_bytes = staged.through_stages(counts, kernel, n_steps)
    torch.testing.assert_close(as_bytes, plain(counts.double(), kernel, n_steps), rtol=1e-10, atol=1e-10)


@given(n=st.integers(1, 500))
def test_sizes_of_two_stages_hold_the_values_and_have_conjugates_in_pairs(n):
    sizes = two_stages.sizes_for(n)
    assert sizes.n1 * sizes.n2 >= n
    assert sizes.n1 % 2 == 1


def test_two_stages_round_in_float32_to_a_few_millionths_of_the_largest_value():
    x, generator = random_input(0, 900, 3, 16)
    kernel = torch.randn(16, 16, 700, generator=generator, dtype=torch.float64)
    exact = delayed_sum(x, kernel, 950, "direct")
    error = (staged.through_stages(x.float(), kernel.float(), 950) - exact).abs().max() / exact.abs().max()
    assert error < 3e-6


@given(length=st.integers(1, 40), size=st.integers(1, 40))
def test_the_transform_has_as_many_rows_as_stated(length, size):
    matrices = transform(length, size, torch.float64, torch.device("cpu"))
    assert matrices.block.shape == (n_rows(length, size), length)
    assert matrices.kernel.shape == (n_rows(length, size), size)
    assert matrices.back.shape == (length + size - 1, n_rows(length, size))
