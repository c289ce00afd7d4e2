"""Sound and events as programs write them to a pipe."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from delaytool.datasets.sampling_rate import check_sampling_rate
from delaytool.errors import DataError
from delaytool.inference.encoders import unit_fault
from delaytool.inference.listen import Decision, Listener
from delaytool.inference.step_counts import EventError
from delaytool.printable import printable

PCM_FORMAT, EXTENSIBLE_FORMAT = 1, 0xFFFE
# Bytes: a WAV file's length from here on stands for one that is not known; a chunk before the sound is at most so long.
UNKNOWN_LENGTH, LONGEST_CHUNK = 0x7FFF0000, 1 << 20
_STDIN = "standard input"
# Of a line of events, in bytes; without a limit a stream without line ends would fill memory.
LONGEST_LINE = 4096


class Pcm:
    """Signed 16-bit samples, little-endian, of one channel, or a WAV file of such; `arecord` and `sox` write both.

    file   opened for reading bytes; it need not be seekable
    rate   Hz of raw samples; None: they must be a WAV file, whose header states it
    Raises DataError for a WAV file of another kind, another rate than the one given, or raw samples without a rate.
    """

    def __init__(self, file: BinaryIO, rate: int | None) -> None:
        self._file, self._pending = file, file.read(4)
        self._left: int | None = None  # bytes; None: up to the end
        if self._pending == b"RIFF":
            self._pending = b""
            found, self._left = _read_wav_header(file)
            if rate not in (None, found):
                raise DataError(f"{_STDIN}: a WAV file at {found} Hz, but --rate {rate}; leave out --rate")
            rate = found
        if rate is None:
            raise DataError(f"{_STDIN}: raw samples do not state their rate; give it, for example --rate 16000")
        check_sampling_rate(rate, _STDIN, "give that of the sound")
        self.rate = rate

    def portions(self, n_samples: int) -> Iterator[np.ndarray]:
        """(n_samples,) float64 in -1..1, one after the other as they come; the last one may be shorter.

        Raises DataError where there is no sample at all.
        """
        has_sound = False
        while True:
            content = self._read(2 * n_samples)
            if not content and not has_sound:
                raise DataError(f"{_STDIN}: no sound came; look at the program that writes it")
            has_sound = True
            if content:
                # Half a sample at the end is what a killed writer left.
                yield np.frombuffer(content[: len(content) // 2 * 2], "<i2").astype(np.float64) / 32768
            if len(content) < 2 * n_samples:
                return

    def _read(self, size: int) -> bytes:
        if self._left is not None:
            size = min(size, self._left)
        content, self._pending = self._pending[:size], self._pending[size:]
        content += self._file.read(size - len(content))
        if self._left is not None:
            self._left -= len(content)
        return content


def _read_wav_header(file: BinaryIO) -> tuple[int, int | None]:
    """(rate in Hz, bytes of sound) of a WAV file, after its first four bytes; the file is left where sound begins.

    None for the bytes where whoever wrote it to a pipe could not know them: 0 or about the largest number stands there.
    """
    if file.read(8)[4:] != b"WAVE":
        raise DataError(f"{_STDIN}: not a readable WAV file; give signed 16-bit PCM")
    rate = None
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise DataError(f"{_STDIN}: a WAV file that ends before its sound; give signed 16-bit PCM")
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"data" and rate is not None:
            return rate, size if 0 < size < UNKNOWN_LENGTH else None
        content = file.read(min(size + size % 2, LONGEST_CHUNK))
        if name == b"fmt " and len(content) >= 16:
            kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
            if kind not in (PCM_FORMAT, EXTENSIBLE_FORMAT) or (bits, channels) != (16, 1):
                raise DataError(
                    f"{_STDIN}: a WAV file of {bits} bits and {channels} channel(s), format {kind}; give 16-bit PCM of "
                    "one channel (arecord -f S16_LE -c 1)"
                )


def begins_as_events(file: BinaryIO) -> bool:
    """Whether the first byte of a buffered file can be that of a line of events; it is read without taking it.

    A WAV file begins with R, raw samples with any byte.
    """
    peek = getattr(file, "peek", None)
    first = peek(1)[:1] if peek is not None else b""
    return first != b"" and first in b"0123456789.+-# \t\r\n"


def event_decisions(listener: Listener, file: BinaryIO) -> Iterator[list[Decision]]:
    """The decisions that the lines of a stream of events bring, as `event_portions` reads them.

    Raises DataError, which names the line, for a line that is none or that cannot follow those before it.
    """
    for times, units, lines in event_portions(file, listener.network.encoding.n_units):
        try:
            decisions = listener.push((times, units)) if units.size else listener.advance(float(times[0]))
        except EventError as error:
            raise DataError(f"events, line {lines[error.index]}: {error.reason}") from None
        yield decisions


def event_portions(file: BinaryIO, n_units: int) -> Iterator[tuple[np.ndarray, np.ndarray, list[int]]]:
    """Lines `time unit`, seconds and a whole number, as they come: (times, units, numbers of their lines).

    A line `time` alone means that time has passed; it is a portion of its own, without units. Empty lines and those
    that begin with # are passed over. Raises DataError, which names the line, and where there is no line at all.
    """
    rest, number, has_lines = b"", 0, False
    read = getattr(file, "read1", file.read)
    while True:
        content = read(65536)
        lines = (rest + content).split(b"\n")
        rest = lines.pop() if content else b""
        if len(rest) > LONGEST_LINE:
            raise DataError(f"events, line {number + len(lines) + 1}: over {LONGEST_LINE} bytes; give a line per event")
        times: list[float] = []
        units: list[int] = []
        numbers: list[int] = []
        for line in lines:
            number += 1
            words = line.split()
            if not words or words[0].startswith(b"#"):
                continue
            has_lines = True
            time, unit = _event_of(words, line, number)
            if unit is None:
                if times:
                    yield np.array(times), np.array(units, np.int64), numbers
                    times, units, numbers = [], [], []
                yield np.array([time]), np.zeros(0, np.int64), [number]
                continue
            if not 0 <= unit < n_units:  # also what no integer of numpy's holds
                raise DataError(f"events, line {number}: {unit_fault(words[1].decode()[:40], n_units)}")
            times.append(time)
            units.append(unit)
            numbers.append(number)
        if times:
            yield np.array(times), np.array(units, np.int64), numbers
        if not content:
            if not has_lines:
                raise DataError(f"{_STDIN}: no event came; look at the program that writes it")
            return


def _event_of(words: list[bytes], line: bytes, number: int) -> tuple[float, int | None]:
    """The time and the unit of a line; no unit where it has one word."""
    try:
        if len(words) <= 2:
            return float(words[0]), int(words[1]) if len(words) == 2 else None
    except ValueError:
        pass
    shown = printable(line.decode("utf-8", "replace"))[:60]
    raise DataError(f"events, line {number}: {shown!r} is not `time unit`, such as 0.0125 37")
