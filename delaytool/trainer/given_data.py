"""Data that a program gives in place of those that a recipe names: refused where they were made in another way."""

from __future__ import annotations

from dataclasses import fields

from delaytool.contract.encoding import InputEncoding, MelSpectrogram
from delaytool.datasets.spec import OF_THE_RUN, DataSpec
from delaytool.errors import DataError
from delaytool.trainer.recipe import Recipe

# What a spec says besides how samples were read and cut: their place, and what the encoding holds.
_SAID_ELSEWHERE = ("source", "time_step_ms")
# What may be left open, for the data to decide: stating the same is no difference, and the encoding or the samples'
# digests tell another.
_LEFT_OPEN = ("n_units", "mel")


def refuse_other_frames(made: InputEncoding, wanted: InputEncoding) -> None:
    """Raise DataError where frames were made with another encoding than is wanted; None in it is left to the data."""
    for field in fields(InputEncoding):
        value, other = getattr(made, field.name), getattr(wanted, field.name)
        if other is not None and value != other:
            raise DataError(
                f"data: the frames were made with {field.name} {value}, the recipe has {other}; give frames that were "
                "made for this recipe, or the samples themselves"
            )


def refuse_other_parts(made: DataSpec | None, recipe: Recipe) -> None:
    """Raise DataError where samples were read and cut in another way than the recipe states; None: it is not known.

    Another seed is let pass, so that runs of several seeds may share their data, but not with folds: the samples that
    are held out in one fold must be trained on in the others.
    """
    if made is None:
        return
    wanted = DataSpec.from_recipe(recipe.model_dump(mode="json"))
    for field in fields(DataSpec):
        value, other = getattr(made, field.name), getattr(wanted, field.name)
        if field.name in _SAID_ELSEWHERE or value == other or (field.name in ("seed", "folds") and wanted.fold is None):
            continue
        if isinstance(value, MelSpectrogram):  # no recipe can state it; the encoding holds it
            continue
        if field.name in _LEFT_OPEN and None in (value, other):
            continue
        if field.name == "time_unit" and {value, other} == {None, "s"}:
            continue
        if field.name == "held_out_as" and made.held_out_speaker is None:
            continue
        key = field.name if field.name in OF_THE_RUN else f"data.{field.name}"
        raise DataError(
            f"data: they were read and cut with {key} {value!r}, the recipe has {other!r}; set {key} in one of them "
            "as in the other"
        )


def refuse_untrue_protocol(recipe: Recipe, *, has_validation: bool, chosen_on_test: bool) -> None:
    """Raise DataError where the parts are not those that the recipe's protocol states, however they were made."""
    protocol = recipe.protocol
    chooses = protocol == "honest" or recipe.is_fold
    if chooses and (not has_validation or chosen_on_test):
        has = "their test part is their validation part too" if chosen_on_test else "the data have no validation part"
        raise DataError(
            f"data: {has}, and protocol {protocol!r} chooses the epoch on one that is not tested on; give such a part, "
            f"or choose protocol {'paper' if chosen_on_test else 'fixed'!r}"
        )
    if protocol == "cross-validated" and not recipe.is_fold and has_validation:
        raise DataError(
            "data: they have a validation part, and protocol 'cross-validated' trains on all but the test part; give "
            "the training part whole, or choose protocol 'honest'"
        )


def split_with_seed(split: str, made: DataSpec | None, recipe: Recipe, *, is_drawn: bool) -> str:
    """The sentence on how the parts were made, with the seed of the draw where it is not the recipe's."""
    if made is None or not is_drawn or made.held_out_speaker is not None or made.seed == recipe.seed:
        return split
    return f"{split}; validation was drawn with seed {made.seed}"
