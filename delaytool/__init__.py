"""delaytool: train spiking networks with learned delays, export them as integers, verify bit for bit."""

from delaytool.version import __version__

__all__ = ["__version__"]
