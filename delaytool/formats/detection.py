"""Which format a file has that is to be imported."""

from __future__ import annotations

from pathlib import Path

from delaytool.contract.hdf5 import other_format
from delaytool.contract.strict_hdf5 import check_regular_file, open_strict
from delaytool.errors import NetworkError

GIVE = "give a netx file (.net) or a NIR file (.nir)"
SUFFIXES = {".net": "netx", ".nir": "NIR"}


def format_of(path: Path) -> str:
    """'netx' or 'NIR', by what the file holds, else by its name: a damaged one is for its own reader to refuse.

    Raises NetworkError for a file that is missing, and for one that is neither.
    """
    check_regular_file(path, NetworkError, GIVE)
    try:
        with open_strict(path, NetworkError, GIVE) as group:
            found = other_format(group)
    except NetworkError:
        found = None
    found = found or SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise NetworkError(f"{path}: this is neither a netx file nor a NIR file; {GIVE}")
    return found
