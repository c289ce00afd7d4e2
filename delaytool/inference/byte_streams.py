"""Sound and events as programs write them to a pipe."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from delaytool.errors import DataError
from delaytool.printable import printable

MAX_RATE = 1 << 22
# Of a line of events, in bytes; without a limit a stream without line ends would fill memory.
LONGEST_LINE = 4096


class Pcm:
    """Signed 16-bit samples, little-endian, of one channel, or a WAV file of such; `arecord` and `sox` write both.

    file   opened for reading bytes; it need not be seekable
    rate   Hz of raw samples; None: they must be a WAV file, whose header says it
    Raises DataError for a WAV file of another kind, another rate than the one given, or raw samples without a rate.
    """

    def __init__(self, file: BinaryIO, rate: int | None) -> None:
        beginning = file.read(4)
        self._file = _Prefixed(beginning, file)
        self._wave: wave.Wave_read | None = None
        if beginning == b"RIFF":
            try:
                self._wave = wave.open(self._file, "rb")  # type: ignore[call-overload]  # noqa: SIM115  not ours to close
            except (wave.Error, EOFError) as error:
                raise DataError(f"standard input: not a readable WAV file ({error}); give signed 16-bit PCM") from None
            found = self._wave.getframerate()
            kind = (self._wave.getsampwidth(), self._wave.getnchannels())
            if kind != (2, 1):
                raise DataError(
                    f"standard input: a WAV file of {8 * kind[0]} bits and {kind[1]} channel(s); give 16 bits and one "
                    "(arecord -f S16_LE -c 1)"
                )
            if rate not in (None, found):
                raise DataError(f"standard input: a WAV file at {found} Hz, but --rate {rate}; leave out --rate")
            rate = found
        if rate is None:
            raise DataError("standard input: raw samples do not say their rate; give it, for example --rate 16000")
        if not 1 <= rate <= MAX_RATE:
            raise DataError(f"a rate of {rate} Hz is outside 1..{MAX_RATE}; give that of the sound")
        self.rate = rate

    def portions(self, n_samples: int) -> Iterator[np.ndarray]:
        """(n_samples,) float64 in -1..1, one after the other as they come; the last one may be shorter."""
        while True:
            content = self._wave.readframes(n_samples) if self._wave is not None else self._file.read(2 * n_samples)
            if content:
                # Half a sample at the end is what a killed writer left.
                yield np.frombuffer(content[: len(content) // 2 * 2], "<i2").astype(np.float64) / 32768
            if len(content) < 2 * n_samples:
                return


class _Prefixed:
    """A file whose first bytes were read already."""

    def __init__(self, beginning: bytes, file: BinaryIO) -> None:
        self._beginning, self._file = beginning, file

    def read(self, size: int = -1) -> bytes:
        if not self._beginning:
            return self._file.read(size)
        if size < 0:
            content, self._beginning = self._beginning, b""
            return content + self._file.read()
        content, self._beginning = self._beginning[:size], self._beginning[size:]
        return content if len(content) == size else content + self._file.read(size - len(content))


def event_portions(file: BinaryIO) -> Iterator[tuple[np.ndarray, np.ndarray, float | None]]:
    """Lines `time unit`, seconds and a whole number, as they come: (times, units, latest), of the lines that are there.

    A line `time` alone says that time has passed: `latest` is the last such time after the portion's events, or None.
    Empty lines and those that begin with # are passed over. Raises DataError, which names the line.
    """
    rest, number = b"", 0
    read = getattr(file, "read1", file.read)
    while True:
        content = read(65536)
        lines = (rest + content).split(b"\n")
        rest = lines.pop() if content else b""
        if len(rest) > LONGEST_LINE:
            raise DataError(f"events, line {number + len(lines) + 1}: over {LONGEST_LINE} bytes; give a line per event")
        times: list[float] = []
        units: list[int] = []
        latest = None
        for line in lines:
            number += 1
            words = line.split()
            if not words or words[0].startswith(b"#"):
                continue
            try:
                if len(words) > 2:
                    raise ValueError
                time = float(words[0])
                if len(words) == 2:
                    times.append(time)
                    units.append(int(words[1]))
                    latest = None
                else:
                    latest = time
            except ValueError:
                shown = printable(line.decode("utf-8", "replace"))[:60]
                raise DataError(f"events, line {number}: {shown!r} is not `time unit`, such as 0.0125 37") from None
        if times or latest is not None:
            yield np.array(times), np.array(units, np.int64), latest
        if not content:
            return
