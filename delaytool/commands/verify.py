"""`delaytool verify`."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from delaytool.commands.console import echo
from delaytool.commands.idle_options import refuse_idle
from delaytool.commands.max_drop_option import max_drop_option
from delaytool.commands.option_groups import option_group
from delaytool.commands.quiet import quiet_option
from delaytool.runtime.backends import BACKENDS, BackendOptions
from delaytool.verification.executor import EXECUTORS

if TYPE_CHECKING:
    from delaytool.experiments.evaluated_samples import SampleChoice
    from delaytool.experiments.verify_run import ExecutorChoice, Verification


SECONDS = click.FloatRange(min=0, min_open=True)


class BackendOnSamples(click.ParamType):
    """'lava' or 'lava:10', as (name, None) or (name, 10)."""

    name = "backend"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int | None]:
        if isinstance(value, tuple):
            return value
        name, separator, count = str(value).partition(":")
        if name not in BACKENDS:
            self.fail(f"{name!r} is not one of {', '.join(BACKENDS)}", param, ctx)
        if separator and not (_is_whole_number(count) and int(count) >= 1):
            self.fail(f"{value!r}: {count!r} is no number of samples; give for example {name}:10", param, ctx)
        return name, int(count) if separator else None


def _is_whole_number(text: str) -> bool:
    """In decimal digits, of which `int` refuses thousands."""
    return text.isdecimal() and len(text) <= 18


def _samples(data: str | None, split: str, samples: int | None) -> SampleChoice:
    from delaytool.experiments.evaluated_samples import SampleChoice

    return SampleChoice(data, split, samples)


def _executor(executor: str, executor_address: str | None, workers: int | None) -> ExecutorChoice:
    from delaytool.experiments.verify_run import ExecutorChoice

    if executor == "local" and (executor_address or workers):
        raise click.UsageError("--executor-address and --workers need --executor dask; add it")
    if executor_address and workers:
        raise click.UsageError("--executor-address names a cluster with workers of its own; leave out --workers")
    return ExecutorChoice(executor, executor_address, workers)


def _host(given: tuple[str, ...]) -> dict[str, object]:
    """`key=value` settings as keywords of `runtime.backends.loihi.Host`."""
    texts, numbers = ("address", "board", "partition", "generation"), ("input_latency", "output_latency")
    host: dict[str, object] = {}
    for setting in given:
        key, _, value = setting.partition("=")
        if not value or key not in (*texts, *numbers) or (key in numbers and not _is_whole_number(value)):
            raise click.BadParameter(f"{setting!r} is not KEY=VALUE with one of {', '.join((*texts, *numbers))}")
        host[key] = int(value) if key in numbers else value
    return host


sample_options = option_group(
    "samples", _samples,
    click.option("--data", metavar="SOURCE",
                 help="Samples to run: a source or path, or 'recorded' for the data that the file names. Default: "
                 "recorded, if they are built in."),
    click.option("--split", default="test", show_default=True,
                 type=click.Choice(["train", "validation", "test", "all"]),
                 help="Part of the data to run; all: every sample, those that were trained on too."),
    click.option("--samples", type=click.IntRange(min=1), help="Run only this many samples, evenly spaced."),
)  # fmt: skip
drop_options = option_group(
    "max_drop", lambda max_drop, no_drop: None if no_drop else max_drop,
    max_drop_option,
    click.option("--no-drop", is_flag=True, help="Compare bits only; the integers may cost any accuracy."),
)  # fmt: skip
simulator_options = option_group(
    "simulators", lambda loihi_host, **options: BackendOptions(loihi_host=_host(loihi_host), **options),
    click.option("--engine-method", type=click.Choice(["auto", "event", "batched"]), default="auto", show_default=True,
                 help="How the engine runs; all methods give the same bits."),
    click.option("--lava-python", metavar="PYTHON",
                 help="Python interpreter with Lava installed, for the Lava backends."),
    click.option("--lava-timeout", type=SECONDS, help="Seconds that Lava may take."),
    click.option("--brian2loihi-python", metavar="PYTHON",
                 help="An interpreter that has brian2-loihi, for that backend."),
    click.option("--brian2loihi-timeout", type=SECONDS, help="Seconds that brian2-loihi may take."),
    click.option("--loihi-host", multiple=True, metavar="KEY=VALUE",
                 help="Setting of the loihi2 backend; may be repeated. Keys: board, partition, address, generation, "
                 "input_latency, output_latency."),
)  # fmt: skip
executor_options = option_group(
    "executor", _executor,
    click.option("--executor", type=click.Choice(EXECUTORS), default="local", show_default=True,
                 help="Where samples run."),
    click.option("--executor-address", metavar="ADDRESS",
                 help="A Dask scheduler (tcp://host:8786); default: local workers."),
    click.option("--workers", type=click.IntRange(min=1),
                 help="Local workers of --executor dask; default: one per core."),
)  # fmt: skip


@click.command("verify")
@click.argument("network", type=click.Path(path_type=Path))
@sample_options
@click.option(
    "--backend",
    type=click.Choice(list(BACKENDS)),
    default="engine",
    show_default=True,
    help="The backend whose accuracy counts; all others are compared with it.",
)
@click.option(
    "--against",
    type=BackendOnSamples(),
    multiple=True,
    default=("reference",),
    show_default=True,
    help="A backend that must agree with it on every bit; may be repeated. NAME:N runs it on N samples only.",
)
@click.option(
    "--torch", "with_torch", is_flag=True,
    help="Compare with a second simulation of the same file, the trainer's. It reads nothing of the trained run.",
)  # fmt: skip
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    help="The trained run: compile its checkpoint again, compare every integer, and measure its float accuracy.",
)
@drop_options
@simulator_options
@executor_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@quiet_option()
def command(
    network: Path,
    samples: SampleChoice,
    backend: str,
    against: tuple[tuple[str, int | None], ...],
    with_torch: bool,
    run: Path | None,
    max_drop: float | None,
    simulators: BackendOptions,
    executor: ExecutorChoice,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run NETWORK on several backends and compare every spike, current and membrane; with --run compare every integer.

    Exit codes: 0, all backends agree on every bit, the integers cost no more points of accuracy than --max-drop against
    the float network with rounded delays (or --no-drop), and with --run they are those of its checkpoint; 1, one of
    these does not hold; 2, the request cannot be carried out; 3, the hardware is missing; 4, the bits are equal, but
    what the integers cost is not known; 130, interrupted; 141, the output was closed by its reader.
    """
    from delaytool.commands.warnings import show_warnings
    from delaytool.experiments.verify_run import VerifyRequest, verify_network
    from delaytool.progress import StepBars

    limits: dict[str, int | None] = {}
    for name, count in against:
        if limits.setdefault(name, count) != count:
            raise click.UsageError(f"--against names {name} twice, with different numbers of samples; give one of them")
    _refuse_idle_options({backend, *(name for name, _ in against)}, no_drop=max_drop is None)
    request = VerifyRequest(
        network=network,
        samples=samples,
        backends=(backend, *limits),
        few={name: count for name, count in limits.items() if count is not None},
        with_torch=with_torch,
        run=run,
        max_drop=max_drop,
        options=replace(simulators, announce=None if quiet else lambda line: echo(line, err=True)),
        executor=executor,
    )
    with StepBars(not (as_json or quiet)) as progress:
        result = verify_network(request, progress)
    show_warnings(result.samples.warnings)
    if as_json:
        record = result.verdict.as_dict()
        record["warnings"] = [*result.samples.warnings, *record["warnings"]]
        echo(json.dumps({"network": str(network), "data": result.samples.describe(), **record}, indent=2))
    else:
        _print(network, result)
    sys.exit(result.verdict.exit_code)


def _refuse_idle_options(backends: set[str], no_drop: bool) -> None:
    """Raise UsageError for options of backends that do not run, and for a limit that --no-drop lifts."""
    for names, needed in (
        (("engine_method",), ("engine",)),
        (("lava_python", "lava_timeout"), ("lava", "lava-cached")),
        (("brian2loihi_python", "brian2loihi_timeout"), ("brian2loihi",)),
        (("loihi_host",), ("loihi2",)),
    ):
        if not backends & set(needed):
            refuse_idle(*names, why=f"{' and '.join(sorted(backends))} run, not {' or '.join(needed)}")
    if no_drop:
        refuse_idle("max_drop", why="with --no-drop the integers may cost any accuracy")


def _print(path: Path, result: Verification) -> None:
    from delaytool.commands.console import PlainConsole, styled
    from delaytool.commands.tables import cost_table, neurobench_table, verdict_table
    from delaytool.verification.compare import MOST_EVENTS

    verdict, console = result.verdict, PlainConsole()
    console.print(f"{path} on {result.samples.describe()}")
    console.print(verdict_table(verdict))
    if verdict.floats is not None:
        target, what = verdict.floats.quantized_for, "float accuracies"
        if target is not None:
            what = f"trained through {target}'s integers, so that no float network was run; the accuracy as trained"
        console.print(f"{what}: {verdict.floats.origin}")
    else:
        console.print(f"no float accuracies: {result.why_no_floats}")
    if "torch" in verdict.accuracy:
        console.print("torch: a second simulation of the same file; it reads nothing of the trained run")
    console.print(cost_table(verdict))
    console.print(neurobench_table(verdict))
    for sentence, arriving in verdict.first_differences:
        console.print(sentence + (":" if arriving else ""))
        for event in arriving[:MOST_EVENTS]:
            console.print(f"  {event}")
    color = "yellow" if verdict.warnings else "green"
    agreed = ", ".join(verdict.accuracy)
    if verdict.passed:
        recorded = " (as recorded)" if verdict.floats is not None and verdict.floats.recorded else ""
        against = f"{verdict.drop_is_against}{recorded}"
        drop = "" if verdict.drop is None else f"; integers {format_drop(verdict.drop)} points of accuracy{against}"
        console.print(styled(f"bold {color}", "PASS", f": {agreed} agree on every bit{drop}"))
    elif not verdict.reasons:
        unknown = f"; {verdict.accuracy_unknown}"
        console.print(styled("bold yellow", "BITS PASS", f": {agreed} agree on every bit{unknown}"))
    for reason in verdict.reasons:
        console.print(styled("bold red", "FAIL", f": {reason}"))
    for warning in verdict.warnings:
        console.print(styled("bold yellow", "WARNING", f": {warning}"))
    if verdict.binding is None or verdict.binding.is_equal:
        status = "not bound" if verdict.binding is None else "bound"
        console.print(f"{status}: {verdict.bound}")
    else:
        for difference in verdict.binding.named_differences():
            console.print(f"  {difference}")


def format_drop(drop: float) -> str:
    """'cost 0.28' or 'gain 0.28'."""
    return f"cost {drop:.2f}" if drop >= 0 else f"gain {-drop:.2f}"
