"""A recipe, a run or a network on a chip. Needs neither PyTorch nor data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from delaytool.contract.ear import EarModel
from delaytool.contract.network import IntegerNetwork
from delaytool.datasets.mel import MELS
from delaytool.datasets.spec import DIGITS, DOWNLOADS, RECORDINGS
from delaytool.errors import DelaytoolError, RecipeError
from delaytool.hw_configs import Target
from delaytool.mapping.design import Design
from delaytool.mapping.fit import Fit, fit
from delaytool.mapping.shape import NetworkShape, shape_of_design, shape_of_network
from delaytool.mapping.ways_out import WayOut, ways_out
from delaytool.trainer.recipe import Recipe, load_recipe, preset_names, validated, with_overrides
from delaytool.trainer.run_folder import RunFolder

# Of the data that have a name (docs/data.md): classes; units of events, and the frames that recordings become.
CLASSES = {DIGITS: 10, "shd": 20, "ssc": 35, "gsc": 35, "hd": 20}
UNITS = {DIGITS: 64, "shd": 700, "ssc": 700}
DEFAULT_MELS = {"gsc": "gsc-paper", "hd": "hd"}


@dataclass(frozen=True, eq=False)
class Subject:
    """What is mapped.

    kind      'recipe', 'run' or 'network'; name: as the user gave it
    recipe    None of a network that does not record one
    network   None of a recipe, and of a run that was not exported for the target
    design    what the recipe decides; None where there is no recipe
    path      of the network's file
    """

    name: str
    kind: str
    recipe: Recipe | None
    network: IntegerNetwork | None
    design: Design | None
    path: Path | None = None

    def shape(self, target: Target) -> NetworkShape:
        """Exact of a network, else the largest that the recipe allows."""
        if self.network is not None:
            return shape_of_network(self.network)
        assert self.design is not None
        return shape_of_design(self.design, target)


@dataclass(frozen=True)
class Sizes:
    """What a recipe alone does not decide, as the user gives it or the data have it.

    units, classes, frames   of the data
    max_payload              the largest value that a frame can hold, as the training part has decided it
    """

    units: int | None = None
    classes: int | None = None
    frames: int | None = None
    max_payload: int | None = None


def find_subject(name: str, target: Target, overrides: Iterable[str] = (), sizes: Sizes | None = None) -> Subject:
    """A preset's name, a recipe's TOML file, a run folder or a network file. Raises DelaytoolError.

    Of a run the network that was exported for the target is taken, where there is one.
    """
    sizes, overrides = sizes or Sizes(), list(overrides)
    path = Path(name)
    if name in preset_names() or name.endswith(".toml") or not path.exists():
        recipe = load_recipe(name, overrides)
        _refuse_other_sizes(recipe, sizes)
        return Subject(name, "recipe", recipe, None, design_of(recipe, sizes))
    if overrides:
        raise RecipeError(f"--set {overrides[0]}: belongs to a recipe, and {name} is none; leave it out")
    for option, value in asdict(sizes).items():
        if value is not None:
            raise RecipeError(f"--{option} {value}: belongs to a recipe, and {name} is none; leave it out")
    if not path.is_dir():
        return _of_network(name, "network", path)
    run = RunFolder(path)
    run.require_intact()
    exported = path / f"network-{target.name}.h5"
    if exported in run.networks():
        return _of_network(name, "run", exported)
    recipe = run.load_recipe()
    known = run.read_summary().get("data", {})
    sizes = Sizes(known.get("n_units"), known.get("n_classes"), known.get("n_steps"), known.get("max_payload"))
    return Subject(name, "run", recipe, None, design_of(recipe, sizes))


def _refuse_other_sizes(recipe: Recipe, sizes: Sizes) -> None:
    """Raise RecipeError for sizes that differ from those that the recipe, or its data's name, has set."""
    known = sizes_of(recipe)
    for option, value in asdict(sizes).items():
        own = getattr(known, option)
        if None not in (value, own) and value != own:
            raise RecipeError(f"--{option} {value}: the recipe's data have {own} {option}; leave it out")


def sizes_of(recipe: Recipe) -> Sizes:
    """What the recipe or its data's name decides; units of recordings are the filters or the ear's channels."""
    data = recipe.data
    units = data.n_units or UNITS.get(data.source)
    if units is None and data.source in RECORDINGS:
        units = EarModel.n_channels if data.ear else MELS[data.mel or DEFAULT_MELS[data.source]].n_mels
    return Sizes(units, data.classes or CLASSES.get(data.source), data.n_steps)


def _of_network(name: str, kind: str, path: Path) -> Subject:
    """The recipe that a network records serves for ways out; one that this version cannot read is left out."""
    network = IntegerNetwork.load(path, chip_limits=False)
    recipe, design = None, None
    recorded: Any = network.provenance.get("recipe")
    if recorded:
        encoding = network.encoding
        sizes = Sizes(encoding.n_units, network.n_classes, encoding.n_steps, encoding.max_payload)
        try:
            recipe = validated(recorded, name)
            design = design_of(recipe, sizes)
        except DelaytoolError:
            recipe, design = None, None
    return Subject(name, kind, recipe, network, design, path)


def design_of(recipe: Recipe, sizes: Sizes | None = None) -> Design:
    """What a recipe decides about a chip's use.

    Raises RecipeError where neither the recipe, nor the data's name, nor `sizes` states how many units and classes the
    data have.
    """
    sizes, data, model = sizes or Sizes(), recipe.data, recipe.model
    units, classes = _data_sizes(recipe, sizes)
    encoding = data.encoding(units)
    frames = data.n_steps or sizes.frames
    last = model.n_layers - 1
    return Design(
        n_channels=encoding.n_channels,
        hidden=model.hidden,
        n_classes=classes,
        kernel_count=model.kernel_count,
        max_delay=model.max_delay,
        recurrent_max_delay=model.recurrent_max_delay,
        delays=model.delays,
        sparsities=model.sparsities,
        recurrent=tuple(model.is_recurrent(index) for index in range(len(model.hidden))),
        neuron=model.neuron,
        quantize=recipe.trainer.quantize,
        values=data.values,
        max_payload=sizes.max_payload or encoding.max_payload,
        payload_is_known=sizes.max_payload is not None or data.values != "count" or data.max_count is not None,
        time_step_ms=data.time_step_ms,
        n_steps=None if frames is None else model.steps_of(last, frames) + model.lateness_on_chip(last),
    )


def _data_sizes(recipe: Recipe, sizes: Sizes) -> tuple[int, int]:
    own = sizes_of(recipe)
    units, classes = sizes.units or own.units, sizes.classes or own.classes
    named = ", ".join((DIGITS, *DOWNLOADS, *RECORDINGS))
    for what, value, option in (("units", units, "--units"), ("classes", classes, "--classes")):
        if value is None:
            raise RecipeError(
                f"data.source {recipe.data.source!r}: how many {what} these data have is known once they are read; "
                f"give it with {option} N (known by name: {named})"
            )
    assert units is not None
    assert classes is not None
    return units, classes


def fit_recipe(recipe: Recipe, target: Target, sizes: Sizes | None = None) -> Fit:
    """Every limit of the chip on a recipe. Raises RecipeError where the sizes of its data are not known."""
    return fit(shape_of_design(design_of(recipe, sizes), target), target)


def knows_sizes(recipe: Recipe) -> bool:
    """Whether a recipe's data have a size that is known before they are read."""
    try:
        design_of(recipe)
    except RecipeError:
        return False
    return True


def fits_with_clipped_delays(recipe: Recipe, target: Target, sizes: Sizes | None = None) -> bool:
    """Whether `export --clip-delays` makes of the recipe's network one that fits."""
    longest, model = target.limits.delay_max, recipe.model
    within = model.recurrent_max_delay
    clipped = model.model_copy(
        update={
            "max_delay": min(model.max_delay, longest),
            "recurrent_max_delay": None if within is None else min(within, longest),
        }
    )
    return fit_recipe(recipe.model_copy(update={"model": clipped}), target, sizes).fits


def fit_subject(subject: Subject, target: Target, cores: int | None = None) -> Fit:
    """Every limit of the chip on a recipe, a run or a network."""
    return fit(subject.shape(target), target, cores)


def checked_ways_out(subject: Subject, target: Target, cores: int | None = None) -> list[WayOut]:
    """Changes of the recipe with which it fits; those that would be no valid recipe are left out.

    Each is applied to the recipe as `--set` would, made a design again, and checked by `fit`.
    """
    if subject.recipe is None or subject.design is None:
        return []
    kept = []
    for way in ways_out(subject.design, target, cores):
        try:
            changed = with_overrides(subject.recipe, way.settings)
            design = design_of(changed, _sizes_of(subject.design, changed))
        except DelaytoolError:
            continue
        if fit(shape_of_design(design, target), target, cores).fits:
            kept.append(way)
    return kept


def _sizes_of(design: Design, recipe: Recipe) -> Sizes:
    return Sizes(units=design.n_channels * recipe.data.channel_bins, classes=design.n_classes)
