"""Settings that only some kinds of data have: with any other they are refused, since they would have no effect."""

from __future__ import annotations

from delaytool.datasets.spec import DataSpec
from delaytool.errors import DataError


def refuse_time_unit(spec: DataSpec) -> None:
    """Raise DataError where a time unit is set for data whose times are known."""
    if spec.time_unit is not None:
        raise DataError(
            f"{spec.source}: data.time_unit {spec.time_unit!r} is for HDF5 files of events, and for events in memory; "
            "leave it out, the times of these data are known"
        )


def refuse_ear(spec: DataSpec) -> None:
    """Raise DataError where an ear is set for data that are neither recordings nor spikes that an ear made of them."""
    if spec.ear:
        raise DataError(
            f"{spec.source}: data.ear is for recordings and for spikes that encode made of them; leave it out, or give "
            "recordings"
        )


def refuse_mel(spec: DataSpec) -> None:
    """Raise DataError where mel settings are set for data that are no recordings."""
    if spec.mel is not None:
        raise DataError(
            f"{spec.source}: data.mel is for recordings, which become mel frames; set data.mel=none, or give recordings"
        )


def refuse_sensor(spec: DataSpec) -> None:
    """Raise DataError where settings of a two-dimensional sensor are set for data that do not come from tonic."""
    for name, value, default in (
        ("pixel_bins", spec.pixel_bins, DataSpec.pixel_bins),
        ("polarity", spec.polarity, DataSpec.polarity),
    ):
        if value != default:
            raise DataError(
                f"{spec.source}: data.{name} {value!r} is for the sensors of tonic's data sets, whose pixels it puts "
                "together; leave it out (neighboring units of other events are summed by data.channel_bins)"
            )
