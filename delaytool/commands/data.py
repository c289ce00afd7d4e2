"""`delaytool data`."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote

import click

from delaytool.commands.quiet import quiet_option
from delaytool.datasets.archives import ARCHIVES


@click.command("data")
@click.argument("name", type=click.Choice(list(ARCHIVES)))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="FOLDER", help="New folder to make."
)
@click.option("--url", help="Another place of the same archive; its checksum stays the published one.")
@quiet_option()
def command(name: str, output: Path, url: str | None, quiet: bool) -> None:
    """Fetch recordings from their official place, check them and unpack them into a folder.

    An interrupted download goes on with the same command.
    """
    from dataclasses import replace

    from delaytool.datasets.archives import fetch_archive
    from delaytool.progress import StepBars

    archive = ARCHIVES[name] if url is None else replace(ARCHIVES[name], url=url)
    try:
        with StepBars(not quiet) as progress:
            fetch_archive(archive, output, progress)
    except KeyboardInterrupt:
        click.echo("\nstopped; give the same command again to go on", err=True)
        sys.exit(130)
    click.echo(f"{output}: {name}, license {archive.license}")
    click.echo(f"next: delaytool encode {quote(str(output))} -o {quote(f'{output}-spikes')}")
