"""`delaytool predict`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from delaytool.commands.console import echo
from delaytool.commands.idle_options import refuse_idle
from delaytool.commands.quiet import quiet_option
from delaytool.datasets.spec import TIME_UNITS

if TYPE_CHECKING:
    from delaytool.contract.network import IntegerNetwork
    from delaytool.inference.listen import Decision, Listener


@click.command("predict")
@click.argument("network", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, metavar="[INPUT]...", type=click.Path(path_type=Path))
@click.option(
    "--sample", "samples", type=click.IntRange(min=0), multiple=True, help="Of files with several; default: all."
)
@click.option(
    "--time-unit", type=click.Choice(list(TIME_UNITS)),
    help="Of event files' times; default: that of the training data, else seconds.",
)  # fmt: skip
@click.option("--stream", is_flag=True, help="Decide again and again about what comes from standard input.")
@click.option("--rate", type=click.IntRange(min=1), metavar="HZ", help="Of raw samples that --stream reads.")
@click.option(
    "--every", "every_ms", type=click.FloatRange(min=0, min_open=True), default=100.0, show_default=True, metavar="MS",
    help="From one decision of --stream to the next.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON with all scores; with --stream an object per line.")
@quiet_option("Print no notes, and of a stream the final decision alone.")
def command(
    network: Path,
    inputs: tuple[Path, ...],
    samples: tuple[int, ...],
    time_unit: str | None,
    stream: bool,
    rate: int | None,
    every_ms: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Predict the class of each INPUT by NETWORK, an exported network file, with its margin.

    An INPUT is a recording (.wav, .flac), an HDF5 file of events or a .npy file of frames, whichever the network was
    trained on; a network trained on spikes of the ear takes recordings, too. --stream reads standard input instead:
    sound as signed 16-bit samples, little-endian, one channel (raw with --rate, or a WAV file), or events as lines
    `time unit`, in seconds. Of the ear's forms only the causal one can stream.
    """
    from delaytool.contract.network import IntegerNetwork

    if stream and (inputs or samples or time_unit):
        raise click.UsageError("--stream reads standard input: leave out INPUT, --sample and --time-unit")
    if not stream and (not inputs or rate is not None):
        raise click.UsageError("give an INPUT, or --stream" if not inputs else "--rate belongs to --stream; add it")
    if not stream:
        refuse_idle("every_ms", why="without --stream each INPUT has one decision")
    loaded = IntegerNetwork.load(network)
    if stream:
        _listen(loaded, rate, every_ms, as_json, quiet)
    else:
        _predict(network, loaded, inputs, samples, time_unit, as_json, quiet)


def _predict(
    path: Path,
    network: IntegerNetwork,
    inputs: tuple[Path, ...],
    samples: tuple[int, ...],
    time_unit: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    from delaytool.commands.console import PlainConsole
    from delaytool.commands.tables import prediction_table
    from delaytool.commands.warnings import show_warnings
    from delaytool.inference.predict import predict

    predictions = predict(
        network, list(inputs), samples=samples or None, time_unit=time_unit,
        announce=None if quiet else lambda line: echo(line, err=True),
    )  # fmt: skip
    if as_json:
        rows = [one.as_dict(network) for one in predictions]
        echo(json.dumps({"network": str(path), "predictions": rows}, indent=2))
        return
    PlainConsole().print(prediction_table(predictions, network))
    if not quiet:
        show_warnings(dict.fromkeys(f"{one.source} {note}" for one in predictions for note in one.notes))


def _listen(network: IntegerNetwork, rate: int | None, every_ms: float, as_json: bool, quiet: bool) -> None:
    from delaytool.inference.byte_streams import Pcm, begins_as_events, event_decisions
    from delaytool.inference.ear_encoder import causal_ear_of
    from delaytool.inference.encoders import EventEncoder, encoder_for
    from delaytool.inference.listen import Listener

    step_ms = network.encoding.time_step_ms
    every = max(1, round(every_ms / step_ms))
    screen = _Screen(network, as_json, quiet)
    given = sys.stdin.buffer
    takes_sound = network.encoding.ear is not None and (rate is not None or not begins_as_events(given))
    if takes_sound:
        causal_ear_of(network.encoding)  # an error now, whatever the sound
    encoder = None if takes_sound else encoder_for(network.encoding)
    if isinstance(encoder, EventEncoder):
        if rate is not None:
            raise click.UsageError("--rate is for sound, and this network reads events; leave it out")
        listener = Listener(network, encoder, every)
        screen.begin(listener)
        for decisions in event_decisions(listener, given):
            screen.show(decisions)
    else:
        sound = Pcm(given, rate)
        if takes_sound and not quiet:
            echo("preparing the ear, which takes seconds", err=True)
        listener = Listener(network, encoder_for(network.encoding, sound.rate), every)
        screen.begin(listener)
        for portion in sound.portions(max(1, round(sound.rate * step_ms / 1000))):
            screen.show(listener.push(portion))
    screen.end(listener.finish(), listener)


class _Screen:
    """A line per decision."""

    def __init__(self, network: IntegerNetwork, as_json: bool, quiet: bool) -> None:
        self.network, self.as_json, self.quiet = network, as_json, quiet
        self.has_warned = False
        self.width = max((len(name) for name in network.class_names), default=5)
        self.width = min(max(self.width, 5), 24)

    def begin(self, listener: Listener) -> None:
        if self.as_json or self.quiet:
            return
        step, wait = self.network.encoding.time_step_ms, 1000 * listener.encoder.delay_s
        seconds = listener.every * step / 1000
        echo(f"a decision every {seconds:g} s; a step is {step:g} ms, known {wait:.1f} ms after its end")
        echo(
            f"{'time':>9}  {'class':<{self.width}}  {'margin':>7}  {'latency':>10}  {'per step':>10}  {'real time':>10}"
        )

    def show(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            if not self.quiet:
                self._print(decision)
            if decision.real_time_factor > 1 and not self.has_warned and not self.quiet:
                self.has_warned = True
                echo(
                    f"warning: a step takes {1000 * decision.seconds_per_step:.2f} ms, longer than it lasts "
                    f"({1000 * decision.time_step_s:g} ms): decisions fall behind the input",
                    err=True,
                )

    def end(self, decisions: list[Decision], listener: Listener) -> None:
        self.show(decisions[:-1])
        final = decisions[-1]
        self._print(final)
        if not (self.as_json or self.quiet):
            per_step = listener.seconds_per_step
            factor = per_step / final.time_step_s
            verdict = "keeps up" if factor <= 1 else "cannot keep up"
            echo(f"final: {final.class_name}, margin {final.margin:.3f}")
            echo(
                f"{listener.n_steps} steps, {1000 * per_step:.3f} ms each of {1000 * final.time_step_s:g} ms: "
                f"{factor:.3f} of real time, {verdict}"
            )

    def _print(self, one: Decision) -> None:
        if self.as_json:
            line = json.dumps(one.as_dict(self.network))
        elif self.quiet:
            line = f"{one.class_name}  {one.margin:.3f}"
        else:
            name = one.class_name if len(one.class_name) <= self.width else f"{one.class_name[: self.width - 1]}…"
            line = (
                f"{one.time_s:>7.2f} s  {name:<{self.width}}  {one.margin:>7.3f}  {1000 * one.latency_s:>7.2f} ms  "
                f"{1000 * one.seconds_per_step:>7.3f} ms  {one.real_time_factor:>10.3f}"
            )
        echo(line)
        sys.stdout.flush()
