"""The network file: what goes in comes out, and what is wrong is one clear line."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from hdf5_mutations import sealed
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.contract.encoding import InputEncoding, MelSpectrogram
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, SparseSynapses
from delaytool.errors import NetworkError


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_is_saved_is_loaded(random_network, tmp_path_factory, seed):
    network, _ = random_network(np.random.default_rng(seed))
    network = replace(network, provenance={"recipe": {"seed": 3}, "note": "ü"})
    path = tmp_path_factory.mktemp("net") / "net.h5"
    network.save(path)
    loaded = IntegerNetwork.load(path)
    assert loaded == network
    assert loaded.signed
    assert loaded.content_sha256() == network.content_sha256()
    assert hash(loaded) == hash(network)


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


def two_layers():
    group = DenseSynapses(0, np.ones((3, 4), int) * 2, np.ones((3, 4), int))
    hidden = IntegerLayer("hidden1", 3, (group, SparseSynapses(1, 3, 3, [0], [1], [5], [9])), 400, 10)
    readout = IntegerLayer("readout", 2, (DenseSynapses(1, np.full((2, 3), 4), np.zeros((2, 3), int)),), 400, 100)
    return small(layers=(hidden, readout))


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
    content = saved.read_bytes()
    saved.write_bytes(content.replace(b"\nschema 2\n", b"\nschema 7\n", 1))
    assert "schema version 7 is unknown to this delaytool, which reads versions 1 and 2" in refused(saved)
    saved.write_bytes(content.replace(b"\nschema 2\n", b"\nschema 1\n", 1))  # whose files had no such lines
    assert "its bytes are not those that were written" in refused(saved)
    with h5py.File(saved, "w") as file:
        file.attrs["schema"], file.attrs["schema_version"] = "delaytool-network", 7
    assert "schema version 7 is unknown" in refused(saved)


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


@pytest.mark.parametrize(
    "name",
    [
        "layers/0", "layers/1", "layers", "layers/0/bias_mantissa", "layers/0/synapses", "layers/0/synapses/0",
        "layers/0/synapses/0/delay", "provenance", "class_names", "export",
    ],
)  # fmt: skip
def test_a_missing_part(tmp_path, name):
    """Of a file with valid digests: what is counted and not there is missed."""
    path = tmp_path / "net.h5"
    two_layers().save(path)
    with h5py.File(path, "a") as file:
        del file[name]
    sealed(path)
    text = refused(path)
    assert "missing" in text or "not the" in text


@pytest.mark.parametrize("name", ["target", "n_steps", "n_layers", "encoding", "readout", "integers_sha256"])
def test_a_missing_attribute(saved, name):
    with h5py.File(saved, "a") as file:
        del file.attrs[name]
    sealed(saved)
    assert f"@{name} is missing" in refused(saved)


def test_what_belongs_to_no_network(saved):
    with h5py.File(saved, "a") as file:
        file["layers/0/synapses/0/gain"] = 3
    sealed(saved)
    assert "layers/0/synapses/0/gain is in the file and belongs to no network" in refused(saved)


def test_an_edited_file_is_refused_before_hdf5_reads_it(saved, monkeypatch):
    with h5py.File(saved, "a") as file:
        file["layers/0/synapses/0/weight"][0, 0] = 77
    monkeypatch.setattr(h5py.h5f, "open_file_image", None)
    assert "its bytes are not those that were written" in refused(saved)


def test_valid_bytes_do_not_vouch_for_the_content(saved):
    with h5py.File(saved, "a") as file:
        file["layers/0/synapses/0/weight"][0, 0] = 77
    sealed(saved, content=False)
    assert "its content is not that of its digest" in refused(saved)


def test_a_valid_content_does_not_vouch_for_the_integers(saved):
    with h5py.File(saved, "a") as file:
        file["layers/0/synapses/0/weight"][0, 0] = 77
    sealed(saved)
    assert "its integers are not those of its digest" in refused(saved)


def test_inconsistent_shapes(saved):
    with h5py.File(saved, "a") as file:
        del file["layers/0/synapses/0/delay"]
        file["layers/0/synapses/0/delay"] = np.zeros((2, 2), int)
    sealed(saved)
    assert "delay has shape (2, 2), weight has (3, 4)" in refused(saved)


def test_floats_in_place_of_integers(saved):
    with h5py.File(saved, "a") as file:
        del file["layers/0/synapses/0/weight"]
        file["layers/0/synapses/0/weight"] = np.full((3, 4), 0.5)
    sealed(saved)
    assert "weight: values are float64, not integers" in refused(saved)


def test_spans_of_time_in_place_of_integers():
    """To numpy they are a kind of integer."""
    with pytest.raises(NetworkError, match=r"weight: values are timedelta64\[s\], not integers"):
        DenseSynapses(0, np.ones((2, 2), "timedelta64[s]"), np.zeros((2, 2), int))


def test_saving_leaves_the_old_file_where_it_fails(saved, monkeypatch):
    before = saved.read_bytes()

    def fails(*_):
        raise RuntimeError("disk full")

    monkeypatch.setattr("delaytool.contract.hdf5._write", fails)
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
        (lambda: small(n_steps=2_000_000), "n_steps 2000000 is more than the 1048576 that a run records"),
        (lambda: InputEncoding(n_units=2**31), "n_units 2147483648 is outside 1..16777216"),
        (lambda: InputEncoding(n_units=4.0), "n_units 4.0 is not an integer"),
        (lambda: InputEncoding(n_units=True), "n_units True is not an integer"),
        (lambda: InputEncoding(n_units=4, n_steps=10**5000), "n_steps of thousands of digits is"),
        (lambda: InputEncoding(n_units=4, time_step_ms="1"), "time_step_ms '1' is not a finite number"),
        (lambda: InputEncoding(4, values="graded", input_bits=2, mel={"rate": 1}), "mel: 'rate' is unknown"),
        (lambda: InputEncoding(4, values="graded", input_bits=2, mel={}), "mel: sample_rate is missing"),
        (lambda: MelSpectrogram(16000, 512, 2**40, 4, 20, 8000), "n_fft 1099511627776 is outside"),
        (lambda: Readout("sum", 1e-300, 0, 1), "scale 1e-300 is outside"),
        (lambda: layer_with(dv=409.0), "layer hidden1: dv 409.0 is not an integer"),
        (lambda: layer_with(threshold=False), "layer hidden1: threshold False is not an integer"),
        (lambda: layer_with(name="a\0b"), "holds the character 0"),
        (lambda: layer_with(n_neurons=10**12), "n_neurons 1000000000000 is outside"),
        (lambda: DenseSynapses(1.0, np.ones((1, 1), int), np.ones((1, 1), int)), "source 1.0 is not an integer"),
        (lambda: small(class_names=("a",)), "1 class_names for 3 classes"),
        (lambda: small(class_names=("a", "b", "a")), "class name 'a' stands for several classes"),
        (lambda: small(class_names=("a", "b", 3)), "class name 3 is not a text"),
        (lambda: small(provenance={"a": object()}), "provenance is not made of JSON values"),
        (lambda: small(export={"a": float("nan")}), "export is not made of JSON values"),
        (lambda: small(extensions={"a/b": {"x": "y"}}), "names are up to 100 letters"),
        (lambda: small(extensions={"a": {"x": np.array([True])}}), "bool values; give integers, floats or a text"),
        (lambda: small(layers=(layer_with(), layer_with())), "two layers are called 'hidden1'"),
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


def test_equal_networks_are_equal_and_hash_alike():
    one, other = two_layers(), two_layers()
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other}) == 1
    assert one != "a network"
    for changed in (
        replace(one, n_steps=9),
        replace(one, target="loihi2"),
        replace(one, provenance={"a": 1}),
        replace(one, class_names=("yes", "no")),
        replace(one, export={"checkpoint": "best"}),
        replace(one, extensions={"a": {"b": np.arange(3)}}),
        replace(one, layers=(replace(one.layers[0], dv=401), one.layers[1])),
        replace(one, layers=(one.layers[0], replace(one.layers[1], synapses=()))),
    ):
        assert changed != one
    assert replace(one, extensions={"a": {"b": np.arange(3)}}) == replace(one, extensions={"a": {"b": np.arange(3)}})
    assert replace(one, provenance={"a": (1, 2)}) == replace(one, provenance={"a": [1, 2]})


@given(seed=st.integers(0, 2**32 - 1))
def test_the_digest_of_the_integers_is_of_what_the_network_computes(random_network, seed):
    rng = np.random.default_rng(seed)
    network, _ = random_network(rng)
    same = replace(
        network, target="loihi2", provenance={"x": 1}, extensions={"a": {"b": "c"}},
        layers=tuple(
            replace(
                layer,
                name=f"other{index}",
                synapses=tuple(
                    group.as_sparse() if isinstance(group, DenseSynapses) else shuffled(group, rng)
                    for group in layer.synapses
                ),
            )
            for index, layer in enumerate(network.layers)
        ),
    )  # fmt: skip
    assert same.integers_sha256() == network.integers_sha256()
    last = network.layers[-1]
    changes = [{"threshold": last.threshold ^ 1}, {"dv": last.dv ^ 1}, {"bias_mantissa": last.bias_mantissa ^ 1}]
    for change in changes:
        other = replace(network, layers=(*network.layers[:-1], replace(last, **change)))
        assert other.integers_sha256() != network.integers_sha256()
    assert replace(network, n_steps=network.n_steps + 1).integers_sha256() != network.integers_sha256()


def shuffled(group, rng):
    order = rng.permutation(group.weight.size)
    arrays = (array[order] for array in (group.target, group.pre, group.weight, group.delay))
    return SparseSynapses(group.source, group.n_out, group.n_in, *arrays, group.exponent)


def test_ten_changed_delays_change_the_digest():
    network = two_layers()
    group = network.layers[0].synapses[0]
    delay = group.delay.copy()
    delay.flat[:10] += 1
    changed = replace(network.layers[0], synapses=(replace(group, delay=delay), network.layers[0].synapses[1]))
    assert replace(network, layers=(changed, network.layers[1])).integers_sha256() != network.integers_sha256()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            lambda one: {"layers": [replace(one, name=f"layer{index}") for index in range(4097)]},
            "@n_layers 4097 is more",
        ),
        (
            lambda one: {"layers": [replace(one, synapses=one.synapses * 4097)]},
            "layers/0@n_synapse_groups 4097 is more",
        ),
        (
            lambda one: {"extensions": {"e": {"/".join("a" * 16): np.arange(2)}}},
            "stands in 17 groups, more than the 16",
        ),
        (
            lambda one: {"extensions": {"e": {f"k{index}": "" for index in range(65537)}}},
            "holds 65537 values, more than",
        ),
    ],
    ids=["layers", "groups", "depth", "members"],
)
def test_what_no_file_would_give_back_is_not_written(changes, message, tmp_path):
    one = IntegerLayer("one", 1, (DenseSynapses(0, np.array([[2]]), np.array([[0]])),), 1, 1)
    given = {"layers": [one], **changes(one)}
    network = IntegerNetwork(InputEncoding(1, values="binary"), readout=Readout("sum", 1.0, 0, 5), n_steps=5, **given)
    with pytest.raises(NetworkError, match=message):
        network.save(tmp_path / "net.h5")
    assert not list(tmp_path.iterdir())


def test_the_deepest_key_that_is_written_is_read(tmp_path):
    network = small(extensions={"e": {"/".join("a" * 15): np.arange(2)}})
    network.save(tmp_path / "net.h5")
    assert IntegerNetwork.load(tmp_path / "net.h5") == network
