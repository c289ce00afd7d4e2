"""Whether what is about to be trained fits a chip: a warning, or with `--strict` a refusal."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from delaytool.commands.console import print_wrapped
from delaytool.commands.warnings import show_warnings
from delaytool.errors import RecipeError
from delaytool.experiments.chip_fit import (
    Sizes,
    Subject,
    checked_ways_out,
    design_of,
    fit_subject,
    fits_with_clipped_delays,
    knows_sizes,
)
from delaytool.hw_configs import Target, load_target, target_from
from delaytool.mapping.fit import Fit

if TYPE_CHECKING:
    from delaytool.experiments.sweep.setting import Setting
    from delaytool.trainer.data import TrainingData
    from delaytool.trainer.recipe import Recipe

DEFAULT_TARGET = "loihi2"
# Ways out that a warning names; `delaytool map` prints all.
WAYS_SHOWN = 3


class ChipCheck:
    """Checks a recipe before its data are read, where their size is known, and with what they decide before training.

    target   a chip's name or TOML file; None: trainer.quantize's, else loihi2
    """

    def __init__(self, target: str | None, *, strict: bool) -> None:
        self.wanted, self.strict = target, strict
        if target is not None:
            target_from(target)  # an unknown one is refused before anything is read
        self.target: Target | None = None
        self.result: Fit | None = None
        self.clipping_helps = False
        # The target through whose integers is trained, where ours may not hold them; whether it holds the network.
        self.trained_through: str | None = None
        self.fits_trained_through = False
        self.data_moved_to: str | None = None  # of a run that was resumed, for what comes next

    def before_reading(self, recipe: Recipe) -> None:
        """Raises RecipeError with `strict`."""
        if knows_sizes(recipe):
            self._check(recipe, Sizes())

    def before_training(self, recipe: Recipe, data: TrainingData) -> None:
        """Raises RecipeError with `strict`."""
        if self.result is None or not self.result.shape.payload_is_known:
            self._check(recipe, sizes_of(data))

    def _check(self, recipe: Recipe, sizes: Sizes) -> None:
        said = None if self.result is None else self._why_not(self.result)
        self.name = self.wanted or recipe.trainer.quantize or DEFAULT_TARGET
        self.target = target_from(self.name)
        subject = Subject(recipe.name, "recipe", recipe, None, design_of(recipe, sizes))
        self.result = fit_subject(subject, self.target)
        if self.result.shape.doubt and recipe.trainer.quantize is not None:
            self.trained_through = recipe.trainer.quantize
            self.fits_trained_through = fit_subject(subject, load_target(self.trained_through)).fits
        if self._why_not(self.result) in ((), said):
            return
        if self.result.fits:
            self._say(f"{recipe.name}: {self.result.shape.doubt}; {self._way_out_of_doubt()}")
            return
        self.clipping_helps = fits_with_clipped_delays(recipe, self.target, sizes)
        ways = [way.describe() for way in checked_ways_out(subject, self.target)[:WAYS_SHOWN]]
        message = f"{recipe.name} does not fit {self.target.name}: {self.result.reasons[0]}"
        more = len(self.result.reasons) - 1
        message += f" (and {more} more)" if more else ""
        message += f"; it fits with {', or with '.join(ways)}" if ways else ""
        self._say(message)

    @staticmethod
    def _why_not(result: Fit) -> tuple[str, ...]:
        return (*result.reasons, *((result.shape.doubt,) if result.shape.doubt else ()))

    def _way_out_of_doubt(self) -> str:
        assert self.target is not None
        is_file = self.name.endswith(".toml")
        first = "without trainer.quantize" if is_file else f"with --set trainer.quantize={self.target.name}"
        return f"train {first}, or give --target {self.trained_through}"

    def _say(self, message: str) -> None:
        from delaytool.trainer.parallel import is_first_process

        if self.strict:
            raise RecipeError(message)
        if is_first_process():
            show_warnings([f"{message}; training goes on (--strict refuses)"])

    def next_step(self, folder: Path) -> str:
        """What to do with the finished run: nothing that is known to fail."""
        run = quote(str(folder))
        assert self.target is not None
        assert self.result is not None
        is_file = self.name.endswith(".toml")
        data = "" if self.data_moved_to is None else f" --data {quote(self.data_moved_to)}"
        if self.trained_through is not None and not is_file:
            if self.fits_trained_through:
                return f"next: delaytool export {run} --target {self.trained_through}{data}"
            return f"next: delaytool map {run} --target {self.trained_through}"
        if self.result.fits and not is_file:
            return f"next: delaytool export {run} --target {self.target.name}{data}"
        if self.clipping_helps and not is_file:
            return f"next: delaytool export {run} --target {self.target.name} --clip-delays{data}"
        return f"next: delaytool map {run} --target {quote(self.name)}"


def sizes_of(data: TrainingData) -> Sizes:
    encoding = data.encoding
    return Sizes(encoding.n_units, data.n_classes, encoding.n_steps, encoding.max_payload)


def keep_fitting(settings: list[Setting], target: str, cores: int | None) -> list[Setting]:
    """Those of a sweep's runs that fit a chip; the others are named with the reason. Data of unknown size are read.

    Raises SweepError where none fits.
    """
    from delaytool.errors import SweepError

    chip, kept, reason = target_from(target), [], ""
    known: dict[str, Sizes] = {}
    for setting in settings:
        result = fit_subject(_subject(setting, known), chip, cores)
        if result.fits:
            kept.append(setting)
            continue
        reason = result.reasons[0]
        print_wrapped(f"left out, does not fit {chip.name}: {setting.name}: {reason}")
    if not kept:
        raise SweepError(
            f"--fits {target}: none of {len(settings)} runs fits ({reason}); see what would with: delaytool map RECIPE"
            + ("" if cores is None else f" --cores {cores}")
        )
    return kept


def _subject(setting: Setting, known: dict[str, Sizes]) -> Subject:
    recipe = setting.recipe
    sizes = Sizes()
    if not knows_sizes(recipe):
        from delaytool.trainer.data import load_data

        key = repr(recipe.data)
        if key not in known:
            known[key] = sizes_of(load_data(recipe))
        sizes = known[key]
    return Subject(recipe.name, "recipe", recipe, None, design_of(recipe, sizes))
