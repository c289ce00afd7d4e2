"""The contract between the exporter and every backend: `IntegerNetwork`, its parts, limits and file.

The arithmetic that gives these numbers their meaning is `docs/integer-contract.md`, and in code
`delaytool/runtime/reference.py`. The package imports numpy and h5py only; `limits` alone reads the chips' limits.
"""
