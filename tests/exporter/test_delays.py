"""Networks of every kind of delays, and of every interpolation, through export to integers that all agree on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from delaytool.errors import ExportError
from delaytool.exporter.compile import export
from delaytool.hw_configs import load_target
from delaytool.runtime.backends import backend_named
from delaytool.runtime.backends.torch import simulate
from delaytool.verification.verdict import verify

LOIHI2 = load_target("loihi2")


def exported(make_model, frames, path, target=LOIHI2, **options):
    model, encoding = make_model(**options)
    return model, export(model, encoding, target, path, frames)


@pytest.mark.parametrize(
    ("options", "delays"),
    [
        ({"delays": "fixed-random"}, range(7)),
        ({"delays": "none"}, range(1)),
        ({"delays": "none", "kernel_count": 3}, range(1)),
        ({"delays": "dense"}, range(7)),
        ({"delays": "dense", "timing": "paper"}, range(7)),
        ({"interpolation": "laplace"}, range(7)),
    ],
    ids=str,
)
def test_the_integers_agree_on_every_bit(options, delays, make_model, frames, tmp_path):
    model, done = exported(make_model, frames, tmp_path / "net.h5", **options)
    network = done.network
    with torch.no_grad():
        labels = torch.softmax(model(torch.from_numpy(frames)), -1).sum(0).argmax(1).numpy()
    backends = {name: backend_named(name) for name in ("engine", "reference")}
    verdict = verify(network, frames, labels, backends, max_drop=None)
    assert verdict.passed, verdict.reasons
    assert verdict.comparisons["reference"].total == 0
    assert verdict.accuracy["reference"] > 0.6, "the integers answer as the float network does"
    trace = backends["reference"](network, frames)
    for ours, expected in zip(simulate(network, torch.from_numpy(frames)), trace.v, strict=True):
        assert np.array_equal(ours.v.numpy(), expected)
    for layer, line in zip(network.layers, done.layers, strict=True):
        used = {int(delay) for group in layer.synapses for delay in np.unique(group.listed()[3])}
        assert used == set(delays)
        assert line.merged_taps == 0


def test_a_dense_kernel_is_a_synapse_for_every_delay(make_model, frames, tmp_path):
    _, one = exported(make_model, frames, tmp_path / "one.h5", delays="none")
    _, all_ = exported(make_model, frames, tmp_path / "all.h5", delays="dense")
    for single, dense in zip(one.layers, all_.layers, strict=True):
        assert dense.synapses > 6 * single.synapses  # seven taps each, of which some are rounded to 0
        assert dense.synapse_bytes > 6 * single.synapse_bytes


def test_a_dense_kernel_longer_than_the_chip_waits_is_refused_and_can_be_cut(make_model, frames, tmp_path):
    model, encoding = make_model(delays="dense", max_delay=64, hidden=(8,))
    with pytest.raises(ExportError, match=r"hidden1: delay 64 exceeds loihi2's 62 .*--max-delay 62"):
        export(model, encoding, LOIHI2, tmp_path / "net.h5", frames)
    cut = export(model, encoding, LOIHI2, tmp_path / "net.h5", frames, clip_delays=True).layers[0]
    assert (cut.clipped_delays, cut.merged_taps) == (2 * 12 * 8, 2 * 12 * 8)


def test_an_error_about_the_chips_memory_names_what_would_fit(make_model, frames, tmp_path):
    model, encoding = make_model(delays="dense")
    small = replace(LOIHI2, limits=replace(LOIHI2.limits, cores=2, synapse_bytes_per_core=256))
    with pytest.raises(ExportError, match=r"takes about \d+ cores, loihi2 has 2 .* model\.delays=learned rather than"):
        export(model, encoding, small, tmp_path / "net.h5", frames)
    assert not list(tmp_path.iterdir())
