"""Modules that are not what their class, or the class that they come from, computes: read as they are, or refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

import delaytool as dt
from delaytool.errors import ExportError

FRAMES = (np.random.default_rng(0).random((4, 12, 6)) < 0.4).astype(np.uint8)


def network(*first):
    """A network of six inputs behind `first`, with a readout of two."""
    return nn.Sequential(*first, dt.LIF(2.0, 0.2), dt.DelayedLinear(6, 2, 5), dt.LeakyReadout()).eval()


def own_pass(model):
    with torch.no_grad():
        return model(torch.from_numpy(FRAMES).float().transpose(0, 1)).transpose(0, 1).numpy()


class Masked(nn.Linear):
    def forward(self, x):
        return nn.functional.linear(x, self.weight * 0.5)


class Residual(nn.Sequential):
    def forward(self, x):
        return super().forward(x) + x


class Slow(dt.LIF):
    def forward(self, x):
        return super().forward(0.5 * x)


class Halved(dt.DelayedLinear):
    def forward(self, x):
        return 0.5 * super().forward(x)


class Scaling(nn.Identity):
    def forward(self, x):
        return 2 * x


class Named(nn.Sequential):
    """One that computes what its parent does."""


class Remembering(dt.LIF):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.seen = 0


@pytest.mark.parametrize(
    ("module", "parent"),
    [
        (lambda: Masked(6, 6), "Linear"),
        (lambda: Residual(nn.Linear(6, 6)), "Sequential"),
        (lambda: Slow(2.0), "LIF"),
        (lambda: Halved(6, 6, 3), "DelayedLinear"),
        (Scaling, "Identity"),
    ],
)
def test_a_subclass_with_a_forward_pass_of_its_own_is_unknown(module, parent):
    own = module()
    model = network(nn.Linear(6, 6), own)
    where = rf"1 \({type(own).__name__}\): the exporter does not know this class, whose forward pass is not that of"
    with pytest.raises(ExportError, match=f"{where} {parent}"):
        dt.simulate_stages(model, FRAMES)
    with pytest.raises(ExportError, match="give it, or the model, a method stages"):
        dt.export(model, calibration=FRAMES)


def test_a_subclass_that_computes_what_its_parent_does_is_read_as_that():
    torch.manual_seed(0)
    model = Named(nn.Linear(6, 6), Remembering(2.0, 0.2), dt.DelayedLinear(6, 2, 5), dt.LeakyReadout()).eval()
    np.testing.assert_allclose(dt.simulate_stages(model, FRAMES)[-1], own_pass(model), rtol=1e-5, atol=1e-5)


def test_a_module_that_stands_twice_is_read_twice():
    torch.manual_seed(0)
    shared = nn.Linear(6, 6)
    model = network(shared, dt.LIF(2.0, 0.2), shared)
    assert len(dt.simulate_stages(model, FRAMES)) == 3
    np.testing.assert_allclose(dt.simulate_stages(model, FRAMES)[-1], own_pass(model), rtol=1e-5, atol=1e-5)


def test_hooks_of_one_s_own_are_refused_until_they_are_removed():
    for place, register in (
        ("0 (Linear)", lambda model: model[0].register_forward_hook(lambda module, given, out: 0.5 * out)),
        ("0 (Linear)", lambda model: model[0].register_forward_pre_hook(lambda module, given: (0.5 * given[0],))),
        ("1 (LIF)", lambda model: model[1].register_forward_hook(lambda module, given, out: 0.5 * out)),
        ("model (Sequential)", lambda model: model.register_forward_hook(lambda module, given, out: 0.5 * out)),
    ):
        model = network(nn.Linear(6, 6))
        handle = register(model)
        with pytest.raises(ExportError, match=r"may change its numbers.* handle\.remove") as caught:
            dt.simulate_stages(model, FRAMES)
        assert str(caught.value).startswith(f"module {place}: it has the hook ")
        handle.remove()
        dt.simulate_stages(model, FRAMES)


def test_a_forward_pass_that_was_replaced_is_refused_unless_it_was_compiled():
    model = network(nn.Linear(6, 6))
    wanted = dt.simulate_stages(model, FRAMES)[-1]
    model.forward = torch.compile(model.forward, backend="eager")
    model[0].compile(backend="eager")
    model[1].forward = torch.compile(model[1].forward, backend="eager")
    np.testing.assert_array_equal(dt.simulate_stages(model, FRAMES)[-1], wanted)
    forward = model[0].forward
    model[0].forward = lambda x: 2 * forward(x)
    with pytest.raises(ExportError, match=r"0 \(Linear\): it has a forward pass in place of that of Linear"):
        dt.simulate_stages(model, FRAMES)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda layer: prune.random_unstructured(layer, "weight", 0.5), "weight_orig"),
        (lambda layer: weight_norm(layer, "weight"), "weight_g"),
        (lambda layer: spectral_norm(layer, "weight"), "weight_orig"),
        (lambda layer: parametrizations.weight_norm(layer, "weight"), "parametrizations.weight.original0"),
    ],
)
@pytest.mark.parametrize("layer", [lambda: dt.DelayedLinear(6, 6, 5), lambda: nn.Linear(6, 6)])
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_pruned_and_normalized_layers_are_read_as_the_next_pass_computes_them(layer, change, name):
    torch.manual_seed(0)
    model = network(layer())
    change(model[0])
    own_pass(model)
    with torch.no_grad():  # as an optimizer does, after the last forward pass
        model[0].get_parameter(name).add_(0.3)
    understood = dt.simulate_stages(model, FRAMES)[-1]
    np.testing.assert_allclose(understood, own_pass(model), rtol=1e-4, atol=1e-5)
