"""`delaytool verify`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from delaytool.runtime.backends import BACKENDS


@click.command("verify")
@click.argument("network", type=click.Path(path_type=Path))
@click.option("--data", help="Samples to run; default: the data that the network was trained on, its test part.")
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="test", show_default=True)
@click.option("--backend", type=click.Choice(list(BACKENDS)), default="engine", show_default=True, help="Judged.")
@click.option(
    "--against",
    type=click.Choice(list(BACKENDS)),
    multiple=True,
    default=("reference",),
    show_default=True,
    help="Must agree with the backend bit for bit; may be given several times.",
)
@click.option("--torch", "with_torch", is_flag=True, help="Add the trainer's own integer simulation.")
@click.option("--run", type=click.Path(path_type=Path), help="The trained run, to measure its float accuracy here.")
@click.option("--samples", type=click.IntRange(min=1), help="Run only so many, evenly spaced.")
@click.option("--max-drop", type=float, default=0.5, show_default=True, help="Points of accuracy integers may cost.")
@click.option("--no-drop", is_flag=True, help="Judge bits only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def command(
    network: Path,
    data: str | None,
    split: str,
    backend: str,
    against: tuple[str, ...],
    with_torch: bool,
    run: Path | None,
    samples: int | None,
    max_drop: float,
    no_drop: bool,
    as_json: bool,
) -> None:
    """Run NETWORK on several backends and compare every spike, current and membrane.

    Exits 0 only where all backends agree bit for bit and integers cost at most --max-drop points of accuracy
    against the float network with rounded delays; 1 where they do not; 2 where the question cannot be asked.
    """
    from rich.console import Console

    from delaytool.commands.judging import judge
    from delaytool.commands.tables import cost_table, verdict_table

    console = Console(highlight=False, soft_wrap=True)
    result = judge(
        network, data=data, split=split, backends=(backend, *against), with_torch=with_torch, run=run,
        samples=samples, max_drop=None if no_drop else max_drop, progress=not as_json,
    )  # fmt: skip
    verdict = result.verdict
    if as_json:
        click.echo(json.dumps({"network": str(network), "data": result.data_name, **verdict.as_dict()}, indent=2))
    else:
        console.print(f"{network} on {result.data_name}")
        console.print(verdict_table(verdict))
        if verdict.floats is not None:
            console.print(f"float accuracies: {verdict.floats.origin}")
        console.print(cost_table(verdict))
        for name, comparison in verdict.comparisons.items():
            if comparison.first is not None:
                first = comparison.first
                console.print(
                    f"first difference of {verdict.backend} and {name}: sample {first.sample}, step {first.step}, "
                    f"layer {first.layer}, neuron {first.neuron}: {first.quantity} is {first.left} and {first.right}; "
                    f"{len(first.arriving)} spikes arrive there" + (":" if first.arriving else "")
                )
                for event in first.arriving[:20]:
                    console.print(f"  {event}")
        if verdict.passed:
            agreed = ", ".join(verdict.accuracy)
            drop = "" if verdict.drop is None else f"; integers cost {verdict.drop:.2f} points of accuracy"
            console.print(f"[bold green]PASS[/]: {agreed} agree on every bit{drop}")
        for reason in verdict.reasons:
            console.print(f"[bold red]FAIL[/]: {reason}")
    sys.exit(0 if verdict.passed else 1)
