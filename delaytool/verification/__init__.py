"""One network on several backends: compared bit for bit, and the verdict. It is given all that it compares."""
