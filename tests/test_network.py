"""The network file: what goes in comes out, and what is wrong is one clear line."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.errors import NetworkError
from delaytool.network import (
    DenseSynapses,
    InputEncoding,
    IntegerLayer,
    IntegerNetwork,
    Readout,
    SparseSynapses,
)


def assert_equal_networks(one, other):
    assert one.encoding == other.encoding
    assert one.readout == other.readout
    assert (one.n_steps, one.target, dict(one.provenance)) == (other.n_steps, other.target, dict(other.provenance))
    for ours, theirs in zip(one.layers, other.layers, strict=True):
        for name in ("name", "n_neurons", "du", "dv", "threshold", "bias_exponent"):
            assert getattr(ours, name) == getattr(theirs, name)
        assert np.array_equal(ours.bias_mantissa, theirs.bias_mantissa)
        for group, copy in zip(ours.synapses, theirs.synapses, strict=True):
            assert type(group) is type(copy)
            assert (group.source, group.exponent, group.shape) == (copy.source, copy.exponent, copy.shape)
            for mine, his in zip(group.listed(), copy.listed(), strict=True):
                assert np.array_equal(mine, his)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_is_saved_is_loaded(random_network, tmp_path_factory, seed):
    network, _ = random_network(np.random.default_rng(seed))
    network = replace(network, provenance={"recipe": {"seed": 3}, "note": "ü"})
    path = tmp_path_factory.mktemp("net") / "net.h5"
    network.save(path)
    assert_equal_networks(network, IntegerNetwork.load(path))


@given(seed=st.integers(0, 2**32 - 1), n_out=st.integers(1, 5), n_in=st.integers(1, 5), share=st.floats(0, 1))
def test_matrices_and_lists_of_the_same_synapses_become_each_other(seed, n_out, n_in, share):
    rng = np.random.default_rng(seed)
    weight = 2 * rng.integers(-9, 9, (n_out, n_in)) * (rng.random((n_out, n_in)) < share)
    dense = DenseSynapses(0, weight, rng.integers(0, 63, (n_out, n_in)), exponent=3)
    sparse = dense.as_sparse()
    again = sparse.as_dense()
    assert np.array_equal(again.weight, weight)
    for group in (sparse, again):
        assert (group.source, group.shape, group.exponent) == (0, (n_out, n_in), 3)
        for mine, his in zip(group.listed(), dense.listed(), strict=True):
            assert np.array_equal(mine, his)


def test_several_taps_of_a_pair_have_no_matrix():
    assert SparseSynapses(0, 2, 2, [0, 0], [1, 1], [2, 4], [3, 5]).as_dense() is None
    assert SparseSynapses(0, 2, 2, [0, 0], [1, 1], [2, 0], [3, 5]).as_dense().weight.tolist() == [[0, 2], [0, 0]]


def small(**changes):
    layer = IntegerLayer("readout", 3, (DenseSynapses(0, np.ones((3, 4), int) * 2, np.ones((3, 4), int)),), 4096, 100)
    values = dict(
        encoding=InputEncoding(n_units=4, n_steps=5, max_count=1), layers=(layer,), n_steps=8,
        readout=Readout("softmax-sum", 64.0, 1, 8),
    )  # fmt: skip
    return IntegerNetwork(**{**values, **changes})


@pytest.fixture
def saved(tmp_path):
    small().save(tmp_path / "net.h5")
    return tmp_path / "net.h5"


def refused(path):
    with pytest.raises(NetworkError) as caught:
        IntegerNetwork.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_unknown_version(saved):
    with h5py.File(saved, "a") as file:
        file.attrs["schema_version"] = 7
    assert "schema version 7 is unknown to this delaytool, which reads version 1" in refused(saved)


def test_foreign_hdf5(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = 1
    assert "not a delaytool network" in refused(tmp_path / "x.h5")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * share)])
    refused(saved)


def test_missing_folder_and_text(tmp_path):
    assert "no such file" in refused(tmp_path / "none.h5")
    assert "folder" in refused(tmp_path)
    (tmp_path / "text.h5").write_text("hello")
    assert "not a readable HDF5 file" in refused(tmp_path / "text.h5")


@pytest.mark.parametrize("name", ["layers/0/bias_mantissa", "layers/0/synapses/0/delay", "provenance"])
def test_a_missing_part(saved, name):
    with h5py.File(saved, "a") as file:
        del file[name]
    assert "damaged" in refused(saved)


def test_inconsistent_shapes(saved):
    with h5py.File(saved, "a") as file:
        del file["layers/0/synapses/0/delay"]
        file["layers/0/synapses/0/delay"] = np.zeros((2, 2), int)
    assert "delay has shape (2, 2), weight has (3, 4)" in refused(saved)


def test_floats_in_place_of_integers(saved):
    with h5py.File(saved, "a") as file:
        del file["layers/0/synapses/0/weight"]
        file["layers/0/synapses/0/weight"] = np.full((3, 4), 0.5)
    assert "weight: values are float64, not integers" in refused(saved)


def test_saving_leaves_the_old_file_where_it_fails(saved, monkeypatch):
    before = saved.read_bytes()

    def fails(*_):
        raise RuntimeError("disk full")

    monkeypatch.setattr("delaytool.contract.hdf5._save_layer", fails)
    with pytest.raises(RuntimeError):
        small().save(saved)
    assert saved.read_bytes() == before
    assert [entry.name for entry in saved.parent.iterdir()] == ["net.h5"]


def layer_with(**changes):
    base = dict(name="hidden1", n_neurons=3, synapses=(), dv=4096, threshold=100)
    return IntegerLayer(**{**base, **changes})


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: layer_with(dv=5000), "layer hidden1: dv 5000 is outside 0..4096"),
        (lambda: layer_with(du=-1), "layer hidden1: du -1 is outside 0..4095"),
        (lambda: layer_with(threshold=1 << 20), "layer hidden1: threshold 1048576 is outside 0..131071"),
        (lambda: layer_with(bias_mantissa=np.array([1, 2, 5000])), "layer hidden1: bias_mantissa 5000 is outside"),
        (lambda: layer_with(bias_mantissa=np.array([1, 2])), "bias_mantissa has shape (2,), not (3,)"),
        (lambda: layer_with(bias_exponent=8), "layer hidden1: bias_exponent 8 is outside 0..7"),
        (lambda: SparseSynapses(0, 2, 2, [0, 2], [0, 0], [2, 2], [1, 1]), "target 2 is outside 0..1"),
        (lambda: SparseSynapses(0, 2, 2, [0, 1], [0], [2, 2], [1, 1]), "pre has 1 entries, target has 2"),
        (lambda: DenseSynapses(0, np.zeros(3, int), np.zeros(3, int)), "not (n_out, n_in)"),
        (lambda: InputEncoding(n_units=0), "n_units 0 is below 1"),
        (lambda: InputEncoding(n_units=7, channel_bins=2), "channel_bins 2 does not divide the 7 units"),
        (lambda: InputEncoding(n_units=7, n_steps=0), "n_steps 0 leaves no time steps"),
        (lambda: InputEncoding(n_units=7, time_step_ms=float("nan")), "time_step_ms nan"),
        (lambda: Readout("vote", 1.0, 0, 1), "method 'vote' is unknown"),
        (lambda: Readout("sum", 1.0, 3, 3), "the window 3..3 holds no step"),
        (lambda: small(n_steps=0), "n_steps 0 leaves no time steps"),
        (lambda: small(n_steps=7), "the window ends at step 8, the run at 7"),
        (lambda: small(layers=()), "it has no layers"),
        (lambda: small(encoding=InputEncoding(n_units=9)), "the populations that it joins need (3, 9)"),
    ],
)  # fmt: skip
def test_a_network_that_breaks_the_contract_is_refused(build, expected):
    with pytest.raises(NetworkError) as caught:
        build()
    assert expected in str(caught.value)


def test_sums_beyond_32_bits_are_refused():
    weight = np.full((1, 2000), 254)
    heavy = IntegerLayer("readout", 1, (DenseSynapses(0, weight, weight * 0, exponent=7),), 4096, 100)
    with pytest.raises(NetworkError, match="beyond what 32-bit accumulators hold"):
        small(layers=(heavy,), encoding=InputEncoding(n_units=2000))


def test_arrays_cannot_be_changed_behind_the_networks_back():
    network = small()
    with pytest.raises(ValueError, match="read-only"):
        network.layers[0].synapses[0].weight[0, 0] = 1
