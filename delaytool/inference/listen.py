"""Decisions about input that is still coming, with what each of them took."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from delaytool.contract.network import IntegerNetwork
from delaytool.errors import DataError
from delaytool.inference.encoders import Encoder
from delaytool.inference.prediction import decision_dict, margin_of, name_of_class
from delaytool.runtime.decode import window_scores
from delaytool.runtime.stream import Stream


@dataclass(frozen=True, eq=False)
class Decision:
    """What the network decides after some steps of a stream.

    n_steps            steps since the stream's beginning
    time_s             the same in seconds
    n_window_steps     of how many steps the readout's membrane counts: of the last ones, as many as its window has
    label, class_name, margin, scores   as in `Prediction`
    latency_s          how long after the last of these steps the decision was there: what the encoder has to wait for,
                       and the measured time from getting that input to the decision
    seconds_per_step   measured time of encoding and running a step, mean since the decision before
    is_final           whether the input has ended
    """

    n_steps: int
    time_s: float
    n_window_steps: int
    label: int
    class_name: str
    margin: float
    scores: np.ndarray
    latency_s: float
    seconds_per_step: float
    time_step_s: float
    is_final: bool = False

    @property
    def real_time_factor(self) -> float:
        """Measured time per step over a step's length: above 1, input comes faster than it is worked off."""
        return self.seconds_per_step / self.time_step_s

    def as_dict(self, network: IntegerNetwork) -> dict[str, Any]:
        """As JSON values, with every class's score by its name."""
        return {
            "step": self.n_steps,
            "time_s": self.time_s,
            **decision_dict(network, self.scores, self.label, self.margin),
            "window_steps": self.n_window_steps,
            "latency_ms": 1000 * self.latency_s,
            "ms_per_step": 1000 * self.seconds_per_step,
            "real_time_factor": self.real_time_factor,
            "final": self.is_final,
        }


class Listener:
    """A network that decides, every few steps, about what it was given last.

    network   whose sample's length and readout's window hold for the stream, too
    encoder   makes frames of portions of the input (`encoders.encoder_for`)
    every     steps from one decision to the next

    The network goes on as one `Stream`: nothing is reset. A decision counts the readout's membrane over as many last
    steps as its window has, fewer at first. At the input's end silence follows until the last delay has passed, and
    the final decision is that of the window there. So the final decision about an input that is no longer than a
    sample is, in every bit of its scores, that of `predict` about the whole input. Frames of zeros at its end count
    as that silence, and may go on up to the end of the readout's window; where they go on longer, the window has moved
    on, and the final decision is about its last steps as any other is. Where the window ends before the sample's last
    frame, the final decision about such an input is that of the window, which is kept.

        listener = Listener(network, encoder_for(network.encoding, rate=16000), every=10)
        for portion in microphone:
            for decision in listener.push(portion):
                print(decision.time_s, decision.class_name)
        print(listener.finish()[-1].class_name)
    """

    def __init__(self, network: IntegerNetwork, encoder: Encoder, every: int = 1) -> None:
        if every < 1:
            raise DataError(f"a decision every {every} steps is impossible; give 1 or more")
        self.network, self.encoder, self.every = network, encoder, every
        readout = network.readout
        self._n_window = readout.stop - readout.start
        self._membranes = np.zeros((self._n_window, network.n_classes), np.int32)  # of step t at t % n_window
        self._of_sample = self._membranes  # those of the readout's window, once it has ended
        self._silence = np.zeros(network.encoding.n_channels, np.uint8)
        self._stream = Stream(network)
        self._stream.step(self._silence)  # compiles or loads the kernel: no input has to wait for it
        self._stream.reset()
        self._time_step_s = network.encoding.time_step_ms / 1000
        self._busy_s = 0.0  # since the last decision
        self._total_busy_s = 0.0
        self._n_decided = 0
        self._n_until_silence = 0  # steps up to the last frame that held anything

    @property
    def n_steps(self) -> int:
        """Steps since the beginning."""
        return self._stream.n_steps

    @property
    def seconds_per_step(self) -> float:
        """Measured time of encoding and running a step, mean of all so far; 0 before the first."""
        return self._total_busy_s / self.n_steps if self.n_steps else 0.0

    def push(self, portion: Any) -> list[Decision]:
        """The decisions that this portion brings. Raises DataError where the encoder does not take it."""
        started = perf_counter()
        return self._run(self.encoder.push(portion), started)

    def advance(self, time_s: float) -> list[Decision]:
        """Of events: no more of them come before `time_s`. Raises DataError for a time before what has come."""
        started = perf_counter()
        return self._run(self.encoder.advance(time_s), started)  # type: ignore[attr-defined]

    def finish(self) -> list[Decision]:
        """The input has ended: the decisions of its last steps; the last of them is the final one."""
        started = perf_counter()
        decisions = self._run(self.encoder.finish(), started)
        begun = perf_counter()
        stop = self.network.readout.stop
        n_frames = self.network.encoding.n_steps or stop
        # No longer than a sample, but for silence within the window: up to the window's end. Else the same silence
        # after the last frame.
        is_sample = self._n_until_silence <= n_frames and self.n_steps <= max(stop, n_frames)
        end = stop if is_sample else self.n_steps + max(0, stop - n_frames)
        while self.n_steps < end:
            self._step(self._silence)
        self._count_time(perf_counter() - begun)
        decisions.append(self._decision(perf_counter() - started, stop if is_sample else self.n_steps, is_final=True))
        return decisions

    def _run(self, frames: np.ndarray, started: float) -> list[Decision]:
        decisions, counted = [], started
        for frame in frames:
            self._step(frame)
            if frame.any():
                self._n_until_silence = self.n_steps
            if self.n_steps % self.every == 0 and self.n_steps > self.network.readout.start:
                now = perf_counter()
                self._count_time(now - counted)
                counted = now
                decisions.append(self._decision(now - started, self.n_steps))
        self._count_time(perf_counter() - counted)
        return decisions

    def _step(self, frame: np.ndarray) -> None:
        at = self._stream.n_steps % self._n_window
        self._membranes[at] = self._stream.step(frame).readout
        if self.n_steps == self.network.readout.stop:
            self._of_sample = self._membranes.copy()

    def _count_time(self, seconds: float) -> None:
        self._busy_s += seconds
        self._total_busy_s += seconds

    def _decision(self, waited_s: float, n_steps: int, is_final: bool = False) -> Decision:
        """About the window that ends at `n_steps`: now, or where the sample's ends."""
        network = self.network
        membranes = self._membranes if n_steps == self.n_steps else self._of_sample
        count = min(self._n_window, n_steps - network.readout.start)
        last = np.arange(n_steps - count, n_steps) % self._n_window
        scores = window_scores(network.readout, membranes[last][None])[0]
        label = int(scores.argmax())
        per_step = self._busy_s / max(1, self.n_steps - self._n_decided)
        self._n_decided, self._busy_s = self.n_steps, 0.0
        return Decision(
            n_steps=n_steps,
            time_s=n_steps * network.encoding.time_step_ms / 1000,
            n_window_steps=count,
            label=label,
            class_name=name_of_class(network, label),
            margin=margin_of(network, scores, count),
            scores=scores,
            latency_s=self.encoder.delay_s + waited_s,
            seconds_per_step=per_step,
            time_step_s=self._time_step_s,
            is_final=is_final,
        )
