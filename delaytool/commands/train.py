"""`delaytool train`."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import get_args

import click

from delaytool.commands.completion import complete_recipes, complete_settings
from delaytool.commands.console import echo
from delaytool.commands.idle_options import settings_with_data
from delaytool.commands.option_groups import option_group
from delaytool.commands.quiet import quiet_option
from delaytool.commands.recipe_verb import RecipeVerb
from delaytool.datasets.spec import Protocol


@dataclass(frozen=True)
class Settings:
    """What is set over a recipe: by `--set`, and by options that are short for it."""

    overrides: tuple[str, ...]
    data: str | None
    max_delay: int | None
    seed: int | None
    protocol: str | None
    gradient_checkpointing: bool

    def all(self) -> list[str]:
        """Each as `key=value`. Raises UsageError for a key that is set twice."""
        from delaytool.trainer.recipe import override_of

        given = settings_with_data(self.overrides, self.data)
        short = {"model.max_delay": self.max_delay, "seed": self.seed, "protocol": self.protocol}
        given += [override_of(key, value) for key, value in short.items() if value is not None]
        return [*given, *["trainer.gradient_checkpointing=true"] * self.gradient_checkpointing]


setting_options = option_group(
    "settings", Settings,
    click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", shell_complete=complete_settings,
                 help="Override a key, e.g. trainer.epochs=5; `delaytool recipes --keys` lists them."),
    click.option("--data",
                 help="Data to learn from; short for --set data.source=…. With --resume: where the run's data are "
                 "now."),
    click.option("--max-delay", type=int, metavar="STEPS", help="Longest delay; short for --set model.max_delay=…."),
    click.option("--seed", type=int, help="Seed of the run; short for --set seed=…."),
    click.option("--protocol", type=click.Choice(get_args(Protocol)),
                 help="Choose the best epoch on validation (honest, the default), on the data's own validation part, "
                 "else on test (paper), or by folds, and train on all to that epoch (cross-validated); or choose none: "
                 "train on all and take the last (fixed)."),
    click.option("--gradient-checkpointing", is_flag=True,
                 help="Use less memory and more time; sets trainer.gradient_checkpointing."),
)  # fmt: skip


@click.command("train", cls=RecipeVerb)
@click.argument("recipe", required=False, shell_complete=complete_recipes)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Run folder to make; default: runs/NAME.")
@setting_options
@click.option(
    "--target", metavar="CHIP",
    help="Check before training that the network fits; default: trainer.quantize, else loihi2. Or a TOML file.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Do not train what does not fit --target, instead of a warning.")
@click.option(
    "--jobs", type=click.IntRange(min=1),
    help="Of protocol cross-validated: number of folds at the same time; default: 1.",
)  # fmt: skip
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="Go on with an interrupted run.")
@click.option("--dry-run", is_flag=True, help="Read the data, time one batch, and make no run.")
@click.option(
    "--log", "logs", type=click.Choice(["wandb", "mlflow"]), multiple=True,
    help="Log the run there too, where that package is installed.",
)  # fmt: skip
@quiet_option()
def command(
    recipe: str | None,
    output: Path | None,
    settings: Settings,
    target: str | None,
    strict: bool,
    jobs: int | None,
    resume: Path | None,
    dry_run: bool,
    logs: tuple[str, ...],
    quiet: bool,
) -> None:
    """Train RECIPE, a preset's name (see `delaytool recipes`) or a TOML file; 'digits' if none is given."""
    from delaytool.commands.chip_check import ChipCheck
    from delaytool.commands.idle_keys import show_idle_keys
    from delaytool.commands.training_progress import TrainingProgress
    from delaytool.experiments.cross_validation.begin import begun_folds
    from delaytool.trainer.experiment_logs import LOGS
    from delaytool.trainer.loop import train
    from delaytool.trainer.recipe import load_recipe
    from delaytool.trainer.reporter import Reporters

    if resume is not None:
        if recipe or output or dry_run or replace(settings, data=None).all():
            raise click.UsageError(
                "--resume goes on with the run as it began; leave out the recipe and other options (but --data, for "
                "data that have moved)"
            )
        folder, loaded = resume, None
        in_folds = begun_folds(resume)
        if in_folds is not None and settings.data is not None:
            raise click.UsageError("--data: folds go on with the data where they began; leave it out")
    else:
        loaded = load_recipe(recipe or "digits", settings.all())
        folder = output or Path("runs") / loaded.name
        in_folds = loaded if loaded.needs_folds else None
    if jobs is not None and in_folds is None:
        raise click.UsageError("--jobs is for the folds of --protocol cross-validated; leave it out")
    chip = ChipCheck(target, strict=strict)
    if loaded is not None:
        show_idle_keys(loaded)
        chip.before_reading(loaded)
        if dry_run:
            from delaytool.commands.dry_run import print_dry_run

            print_dry_run(loaded, chip, quiet)
            return
    if in_folds is not None:
        from delaytool.commands.cross_validation import train_folds

        loaded = train_folds(in_folds, folder, chip, resume=resume is not None, jobs=jobs or 1, quiet=quiet)
        resume = None
    try:
        with ExitStack() as held:
            others = [held.enter_context(closing(LOGS[name](folder))) for name in dict.fromkeys(logs)]
            progress = held.enter_context(TrainingProgress(folder, chip, quiet))
            reporter = Reporters(progress, *others)
            check = chip.before_training
            if resume is None:
                train(loaded, folder, reporter=reporter, check=check)
            else:
                chip.data_moved_to = settings.data
                train(None, folder, resume=True, reporter=reporter, check=check, moved_to=settings.data)
    except KeyboardInterrupt:
        moved = "" if resume is None or settings.data is None else f" --data {quote(settings.data)}"
        echo(f"\nstopped; go on with: delaytool train --resume {quote(str(folder))}{moved}", err=True)
        sys.exit(130)
