"""One file, one pass: a function from one frozen dataclass to the next."""
