"""`python -m delaytool`."""

from delaytool.cli import main

main(prog_name="delaytool")
