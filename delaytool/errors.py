"""The errors that a user can cause, each one line that names the thing, its value, the limit and the way out."""

from __future__ import annotations

from delaytool.installation import install_command


def first_line(error: BaseException) -> str:
    """The first line of a library's error, for a message of delaytool."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class DelaytoolError(Exception):
    """An error that the user can correct. The command line prints it as one line and exits with `exit_code`.

    >>> import delaytool as dt
    >>> try:
    ...     dt.load("no-such-file.h5")
    ... except dt.DelaytoolError as error:
    ...     print(type(error).__name__, error.exit_code, error)
    NetworkError 2 no-such-file.h5: no such file; give the network file (.h5) that `delaytool export` wrote
    """

    exit_code = 2


class DataError(DelaytoolError):
    """Event data that cannot be read or used."""


class RecipeError(DelaytoolError):
    """A recipe with an unknown key or an impossible value."""


class ModelError(DelaytoolError):
    """A layer or a model that is built, or called, as it cannot be."""


class CheckpointError(DelaytoolError):
    """A run folder or checkpoint that cannot be read or used."""


class OutputError(DelaytoolError):
    """A file or folder that cannot be written where it was asked for."""


class SweepError(DelaytoolError):
    """A sweep that is not possible, or not the one that its folder holds."""


class NetworkError(DelaytoolError):
    """An integer network, or a file that should hold one, that breaks the contract."""


class ExportError(DelaytoolError):
    """A trained network that the target's limits do not admit."""


class TargetError(DelaytoolError):
    """A chip's description that cannot be read, or that describes none."""


class BackendError(DelaytoolError):
    """A runtime backend that cannot run the network."""


class MissingExtraError(DelaytoolError):
    """A feature whose optional dependencies are not installed."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs {package}, which is not installed; install it with: {install_command(extra)}"
        )


class VerificationError(DelaytoolError):
    """A verification that would compare nothing, or cannot be done as asked."""
