"""`delaytool encode`."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from shlex import quote

import click

from delaytool.commands.quiet import quiet_option

FILES = {"train": "train.h5", "validation": "valid.h5", "test": "test.h5", "all": "train.h5"}
SUFFIXES = (".h5", ".hdf5")
# Which trains on such spikes.
PRESET = "shd-2l-1kc"


@click.command("encode")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DATA.h5|FOLDER",
    help="One file, or, where the recordings have lists of training and test parts, a folder for a file per part.",
)
@click.option("--causal", is_flag=True, help="The ear for live sound: no spike depends on what comes later.")
@click.option(
    "--classes", type=click.IntRange(min=2), help="Of Speech Commands: 10 keywords, or 12; default: all words."
)
@click.option("--channels", type=click.IntRange(1, 65535), default=700, show_default=True, help="Of the ear.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the ear's random part.")
@click.option("--processes", type=click.IntRange(min=1), help="Encode so many recordings at once; default: all cores.")
@quiet_option()
def command(
    folder: Path,
    output: Path,
    causal: bool,
    classes: int | None,
    channels: int,
    seed: int,
    processes: int | None,
    quiet: bool,
) -> None:
    """Turn the recordings in FOLDER into spikes, with the inner ear behind SHD and SSC.

    FOLDER holds a folder of .wav or .flac files per class, or the files of the Heidelberg Digits or the Free Spoken
    Digits. The same command goes on after an interruption.
    """
    from delaytool.commands.warnings import show_warnings
    from delaytool.datasets.ear import EarModel
    from delaytool.datasets.ear.cache import cores
    from delaytool.datasets.ear.spike_file import describe_spike_file, part_key, write_spike_file
    from delaytool.datasets.listings import list_recordings
    from delaytool.errors import DataError, OutputError
    from delaytool.files import require_writable_file
    from delaytool.progress import StepBars
    from delaytool.trainer.recipe import load_recipe

    listing = list_recordings(folder, classes)
    if listing is None:
        raise DataError(f"{folder}: no .wav or .flac lies in it; give a folder with a folder of recordings per class")
    show_warnings(listing.warnings)
    files = output_files(output, list(listing.parts))
    there = [path for path in files.values() if path.exists()]
    if there:
        raise OutputError(f"{there[0]}: the file is already there; remove it, or choose another name with -o")
    for path in files.values():
        require_writable_file(path)
    whole = output.absolute()  # '.' has no name
    working = whole.parent / f"{whole.name}.unfinished"
    model = EarModel(n_channels=channels, causal=causal)
    made: dict[Path, Path] = {}
    seconds: dict[Path, float] = {}
    try:
        with StepBars(not quiet) as progress:
            for part, path in files.items():
                began = time.monotonic()
                made[path] = working / f"{part_key(listing, part, model, seed)}.h5"
                if made[path].exists():  # by the same command, which was interrupted
                    continue
                write_spike_file(
                    made[path],
                    listing,
                    part,
                    model,
                    seed=seed,
                    working=working,
                    processes=processes or cores(),
                    progress=progress,
                )
                seconds[path] = time.monotonic() - began
    except KeyboardInterrupt:
        click.echo(f"\nstopped; give the same command again to go on ({working} keeps what is done)", err=True)
        sys.exit(130)
    for path, file in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, path)
        duration = f", made in {seconds[path]:,.0f} s" if path in seconds else ""
        click.echo(f"{path}: {describe_spike_file(path)}{duration}")
    shutil.rmtree(working, ignore_errors=True)
    # Where the preset's channels do not come out even, each unit is one.
    alone = "" if channels % load_recipe(PRESET).data.channel_bins == 0 else " --set data.channel_bins=1"
    click.echo(f"next: delaytool train {PRESET} --data {quote(str(output))}{alone}")


def output_files(output: Path, parts: list[str]) -> dict[str, Path]:
    """Which file each part of the recordings goes into. Raises OutputError where one file cannot hold the parts."""
    from delaytool.errors import OutputError

    if output.suffix not in SUFFIXES:
        return {part: output / FILES[part] for part in parts}
    if len(parts) > 1:
        raise OutputError(
            f"{output}: the recordings have parts of their own ({', '.join(parts)}), which go into a file each; give a "
            f"folder: -o {output.with_suffix('')}"
        )
    return {parts[0]: output}
