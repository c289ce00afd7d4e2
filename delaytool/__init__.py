"""delaytool: train spiking networks with learned delays, export them as integers, verify bit for bit."""

__version__ = "0.1.0"
