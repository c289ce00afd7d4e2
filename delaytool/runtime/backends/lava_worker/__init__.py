"""The side of the Lava backend that imports Lava; `delaytool.runtime.backends.lava` starts it as a child process.

A folder of its own because Lava, looking for a process's models, imports every module that lies beside it.
Imports numpy, h5py (through `delaytool.contract`), Lava and the scipy that Lava needs; runs under any Python from
3.10 that has those, with delaytool installed there or not.
"""
