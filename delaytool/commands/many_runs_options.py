"""What the verbs that train many runs have in common: `sweep` and `compare`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from delaytool.commands.completion import complete_settings
from delaytool.commands.idle_options import settings_with_data
from delaytool.commands.option_groups import option_group

if TYPE_CHECKING:
    from delaytool.experiments.sweep.setting import Setting


@dataclass(frozen=True)
class ManyRuns:
    """overrides, data: set in every recipe. jobs: runs at the same time. fits: a chip, and `cores` of it."""

    overrides: tuple[str, ...]
    data: str | None
    jobs: int
    fits: str | None
    cores: int | None
    retry_failed: bool

    def __post_init__(self) -> None:
        if self.cores is not None and self.fits is None:
            raise click.UsageError("--cores is a budget of the chip that --fits names; add it")

    @property
    def are_chosen(self) -> bool:
        """Whether anything says which runs to train."""
        return bool(self.overrides or self.data or self.retry_failed or self.fits)

    def settings(self) -> list[str]:
        """What is set in every recipe, as `key=value`. Raises UsageError for a key that is set twice."""
        return settings_with_data(self.overrides, self.data)

    def fitting(self, settings: list[Setting]) -> list[Setting]:
        """Those that fit the chip, if one was named."""
        from delaytool.commands.chip_check import keep_fitting

        return settings if self.fits is None else keep_fitting(settings, self.fits, self.cores)


many_runs_options = option_group(
    "many", ManyRuns,
    click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", shell_complete=complete_settings,
                 help="Override a key in every run."),
    click.option("--data", help="Data to learn from; short for --set data.source=…."),
    click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True,
                 help="Number of runs at the same time on this machine."),
    click.option("--fits", metavar="CHIP", help="Leave out what does not fit this chip (a name or a TOML file)."),
    click.option("--cores", type=click.IntRange(min=1), metavar="N", help="Of --fits: at most so many cores."),
    click.option("--retry-failed", is_flag=True, help="Train failed runs again."),
)  # fmt: skip
