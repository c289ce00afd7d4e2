"""A recording, events or frames in, a class out: of whole files (`predict`), or of what is still coming (`listen`)."""

from __future__ import annotations
