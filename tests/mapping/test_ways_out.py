"""Ways out are the nearest that fit, and are valid recipes that fit once they are applied."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.datasets.spec import DIGITS, DOWNLOADS, RECORDINGS
from delaytool.errors import RecipeError
from delaytool.experiments.chip_fit import Sizes, checked_ways_out, design_of, find_subject, fit_subject, knows_sizes
from delaytool.hw_configs import Axons, load_target
from delaytool.mapping.design import Design
from delaytool.mapping.fit import fit
from delaytool.mapping.shape import n_connections, shape_of_design
from delaytool.mapping.ways_out import largest, ways_out
from delaytool.trainer.recipe import load_recipe

LOIHI2 = load_target("loihi2")


def settings_of(design: Design, cores: int | None = None) -> list[tuple[str, ...]]:
    return [way.settings for way in ways_out(design, LOIHI2, cores)]


def test_a_long_delay() -> None:
    design = Design(n_channels=64, hidden=(128,), n_classes=10, max_delay=80)
    assert settings_of(design) == [("model.max_delay=62",)]
    assert settings_of(replace(design, max_delay=62)) == []


def test_one_core_by_hand() -> None:
    """64 x 256 + 256 x 10 synapses with 6 delay bits: 14 x 18,944 bits are 32.4 KiB; a core of 32 KiB is too small."""
    target = replace(LOIHI2, limits=replace(LOIHI2.limits, synapse_bytes_per_core=32 * 1024))
    design = Design(n_channels=64, hidden=(256,), n_classes=10, max_delay=62)
    ways = {way.settings: way for way in ways_out(design, target, 1)}
    # 5 delay bits (31 steps): 13 x 18,944 bits are 30.1 KiB. 14 x 74 bits per hidden neuron: 253 of them fit, not 254.
    assert ("model.max_delay=31",) in ways
    assert ("model.hidden=[253]",) in ways
    assert all(way.fit.fits for way in ways.values())


@given(
    hidden=st.lists(st.integers(1, 900), min_size=1, max_size=3),
    taps=st.integers(1, 4),
    longest=st.integers(0, 90),
    delays=st.sampled_from(["learned", "fixed-random", "none", "dense"]),
    recurrent=st.booleans(),
    within=st.none() | st.integers(0, 70),
    cores=st.integers(1, 6),
)
@settings(max_examples=60, deadline=None)
def test_every_way_fits_and_the_next_value_does_not(hidden, taps, longest, delays, recurrent, within, cores) -> None:
    design = Design(
        n_channels=140, hidden=tuple(hidden), n_classes=20, kernel_count=taps, max_delay=longest, delays=delays,
        recurrent=(recurrent,) * len(hidden), recurrent_max_delay=within,
    )  # fmt: skip
    for way in ways_out(design, LOIHI2, cores):
        assert way.fit.fits
        values = dict(setting.split("=") for setting in way.settings)
        changed = replace(
            design,
            max_delay=int(values.get("model.max_delay", design.max_delay)),
            recurrent_max_delay=int(values["model.recurrent_max_delay"])
            if "model.recurrent_max_delay" in values else design.recurrent_max_delay,
            kernel_count=int(values.get("model.kernel_count", taps)),
            sparsities=(float(values.get("model.sparsity", 0)),) * (len(hidden) + 1),
            delays=values.get("model.delays", delays),
            hidden=tuple(map(int, values["model.hidden"].strip("[]").split(","))) if "model.hidden" in values
            else design.hidden,
        )  # fmt: skip
        assert fit(shape_of_design(changed, LOIHI2), LOIHI2, cores).fits  # the settings alone say it all
        nearer = None
        if way.settings[-1].startswith("model.kernel_count"):
            nearer = replace(changed, kernel_count=changed.kernel_count + 1)
        elif way.settings[-1].startswith("model.sparsity") and changed.sparsities[0] > 0.015:
            nearer = replace(changed, sparsities=(round(changed.sparsities[0] - 0.01, 2),) * (len(hidden) + 1))
        elif way.settings[-1].startswith("model.max_delay") and changed.max_delay < LOIHI2.limits.delay_max:
            nearer = replace(changed, max_delay=changed.max_delay + 1)
        assert nearer is None or not fit(shape_of_design(nearer, LOIHI2), LOIHI2, cores).fits


def test_the_widest_that_fits_is_found_where_a_narrower_one_does_not() -> None:
    """Neurons are spread evenly over cores, and each core reaches so many others: 16 fit, and not all fewer."""
    limits = replace(LOIHI2.limits, neurons_per_core=5, cores=10, synapse_bytes_per_core=1000)
    target = replace(LOIHI2, limits=limits, axons=Axons(inward=64, outward=9, is_own=True, source="its manual"))
    design = Design(n_channels=64, hidden=(20,), n_classes=10, max_delay=23)
    fitting = [
        width for width in range(1, 20) if fit(shape_of_design(replace(design, hidden=(width,)), target), target).fits
    ]
    assert fitting != list(range(1, max(fitting) + 1))
    settings = [way.settings for way in ways_out(design, target)]
    assert (f"model.hidden=[{max(fitting)}]",) in settings


def test_largest() -> None:
    for limit in range(-1, 8):
        assert largest(0, 6, lambda value: value <= limit) == (None if limit < 0 else min(limit, 6))  # noqa: B023
    assert largest(3, 2, lambda value: True) is None


def test_a_recipes_ways_out_are_recipes() -> None:
    """17 distinct fixed candidates per synapse need 17 delays, so no recipe may have a smaller max_delay."""
    overrides = [
        "model.delays=fixed-random", "model.rewiring=rigl", "model.kernel_count=17", "model.max_delay=16",
        "model.hidden=[300]",
    ]  # fmt: skip
    subject = find_subject("shd-2l-1kc", LOIHI2, overrides)
    raw = [way.settings for way in ways_out(subject.design, LOIHI2, 1)]
    checked = [way.settings for way in checked_ways_out(subject, LOIHI2, 1)]
    assert checked
    assert set(checked) <= set(raw)
    for way in checked:
        again = find_subject("shd-2l-1kc", LOIHI2, [*overrides, *way])
        assert fit_subject(again, LOIHI2, 1).fits


@pytest.mark.parametrize("preset", ["digits", "shd-2l-1kc", "ssc-3l-2kc", "gsc-3l-2kc", "hd-1l-1kc"])
def test_presets_fit_without_data(preset: str) -> None:
    assert fit_subject(find_subject(preset, LOIHI2), LOIHI2).fits


def test_data_of_unknown_size_are_asked_for(tmp_path) -> None:
    recipe = load_recipe("digits", [f"data.source={tmp_path}"])
    with pytest.raises(RecipeError, match=r"how many units these data have .* give it with --units N"):
        design_of(recipe)
    with pytest.raises(RecipeError, match=r"how many classes .* --classes N"):
        design_of(recipe, Sizes(units=30))
    assert design_of(recipe, Sizes(units=30, classes=4)).n_channels == 30


@pytest.mark.parametrize("source", [DIGITS, *DOWNLOADS, *RECORDINGS])
def test_data_that_have_a_name_have_known_sizes(source: str) -> None:
    assert knows_sizes(load_recipe("digits", [f"data.source={source}"]))


def test_sizes_of_named_data_are_those_of_the_data() -> None:
    from delaytool.datasets.digits import digits_events

    events = digits_events()
    design = design_of(load_recipe("digits", ["data.channel_bins=1"]))
    assert (design.n_channels, design.n_classes) == (events.n_units, events.n_classes)


@pytest.mark.parametrize(
    ("preset", "overrides", "units"),
    [
        ("ten-commands-ear", ["data.channel_bins=1"], 700),
        ("ten-commands-ear", ["data.channel_bins=1", "data.ear=causal", "data.n_units=350"], 350),
        ("gsc-3l-1kc", [], 140),
        ("gsc-3l-1kc", ["data.mel=hd"], 40),
        ("gsc-3l-1kc", ["data.n_units=64"], 64),
    ],
)
def test_units_of_recordings_are_filters_or_channels_of_the_ear(preset: str, overrides: list[str], units: int) -> None:
    assert find_subject(preset, LOIHI2, overrides, Sizes(units=units)).design.n_channels == units
    with pytest.raises(RecipeError, match=f"--units {units + 1}: the recipe's data have {units} units"):
        find_subject(preset, LOIHI2, overrides, Sizes(units=units + 1))


@pytest.mark.parametrize(("n_taps", "sparsity"), [(1, 0.99), (10, 0.25), (10, 0.5), (7, 0.5), (1000, 0.333)])
def test_as_many_connections_as_the_trainer_draws(n_taps: int, sparsity: float) -> None:
    connectivity = pytest.importorskip("delaytool.models.connectivity", exc_type=ImportError)
    assert n_connections(n_taps, sparsity) == connectivity.n_connections(n_taps, sparsity)


def test_taps_and_recurrence_that_a_target_has_no_place_for() -> None:
    netx = load_target("loihi2-netx")
    for changes, needed in (
        (["model.kernel_count=3"], ("model.kernel_count=1",)),
        (["model.recurrent=true"], ("model.recurrent=false",)),
        (["model.delays=dense"], ("model.delays=learned",)),
        (["model.kernel_count=2", "model.recurrent=true"], ("model.recurrent=false", "model.kernel_count=1")),
    ):
        subject = find_subject("digits", netx, ["data.values=binary", *changes])
        assert not fit_subject(subject, netx).fits
        assert fit_subject(subject, LOIHI2).fits
        assert [way.settings for way in checked_ways_out(subject, netx)] == [needed]
