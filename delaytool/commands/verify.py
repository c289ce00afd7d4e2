"""`delaytool verify`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from delaytool.runtime.backends import BACKENDS, BackendOptions
from delaytool.verification.executor import EXECUTORS


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
@click.option(
    "--engine-method", type=click.Choice(["auto", "event", "batched"]), default="auto", show_default=True,
    help="How the engine runs; both give the same bits.",
)  # fmt: skip
@click.option("--lava-python", metavar="PYTHON", help="An interpreter that has Lava, for the Lava backends.")
@click.option("--lava-timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds that Lava may take.")
@click.option(
    "--loihi-host",
    "host",
    multiple=True,
    metavar="KEY=VALUE",
    help="Of the loihi2 backend: board, partition, address, generation, input_latency, output_latency.",
)
@click.option("--executor", type=click.Choice(EXECUTORS), default="local", show_default=True, help="Where samples run.")
@click.option(
    "--executor-address", metavar="ADDRESS", help="A Dask scheduler (tcp://host:8786); default: local workers."
)
@click.option("--workers", type=click.IntRange(min=1), help="Local workers of --executor dask; default: one a core.")
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
    engine_method: str,
    lava_python: str | None,
    lava_timeout: float | None,
    host: tuple[str, ...],
    executor: str,
    executor_address: str | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Run NETWORK on several backends and compare every spike, current and membrane.

    Exits 0 only where all backends agree bit for bit and integers cost at most --max-drop points of accuracy
    against the float network with rounded delays; 1 where they do not; 2 where the question cannot be asked.
    """
    from rich.console import Console

    from delaytool.commands.tables import cost_table, verdict_table
    from delaytool.experiments.verify_run import judge

    if executor == "local" and (executor_address or workers):
        raise click.UsageError("--executor-address and --workers belong to --executor dask; add it")
    if executor_address and workers:
        raise click.UsageError("--executor-address names a cluster that has its workers; leave out --workers")
    console = Console(highlight=False, soft_wrap=True)
    options = BackendOptions(
        announce=lambda line: click.echo(line, err=True),
        engine_method=engine_method,
        lava_python=lava_python,
        lava_timeout=lava_timeout,
        loihi_host=_host(host),
    )
    result = judge(
        network, data=data, split=split, backends=(backend, *against), with_torch=with_torch, run=run,
        samples=samples, max_drop=None if no_drop else max_drop, options=options, progress=not as_json,
        executor=executor, executor_address=executor_address, workers=workers,
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
            drop = "" if verdict.drop is None else f"; integers {_told(verdict.drop)} points of accuracy"
            console.print(f"[bold green]PASS[/]: {agreed} agree on every bit{drop}")
        for reason in verdict.reasons:
            console.print(f"[bold red]FAIL[/]: {reason}")
    sys.exit(0 if verdict.passed else 1)


def _host(given: tuple[str, ...]) -> dict[str, object]:
    """`key=value` words as keywords of `runtime.loihi.Host`."""
    texts, numbers = ("address", "board", "partition", "generation"), ("input_latency", "output_latency")
    host: dict[str, object] = {}
    for word in given:
        key, _, value = word.partition("=")
        if not value or key not in (*texts, *numbers) or (key in numbers and not value.isdigit()):
            raise click.BadParameter(f"{word!r} is not KEY=VALUE with one of {', '.join((*texts, *numbers))}")
        host[key] = int(value) if key in numbers else value
    return host


def _told(drop: float) -> str:
    return f"cost {drop:.2f}" if drop >= 0 else f"gain {-drop:.2f}"
