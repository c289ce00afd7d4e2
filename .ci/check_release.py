"""Whether a tag can be released: python .ci/check_release.py v1.2.3.

The tag, delaytool/version.py and CITATION.cff name one version, and the changelog has a heading for it with a date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def problems(tag: str, root: Path = ROOT) -> list[str]:
    """What has to be changed before this tag is released; empty where nothing has."""
    version = tag.removeprefix("v")
    found = []
    for name, pattern in (
        ("delaytool/version.py", r'^__version__ = "(.+)"$'),
        ("CITATION.cff", r"^version: (.+)$"),
    ):
        match = re.search(pattern, (root / name).read_text(encoding="utf-8"), re.MULTILINE)
        if match is None or match[1] != version:
            found.append(f"{name} has version {match and match[1]}, the tag is {tag}")
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$"
    if not re.search(heading, (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE):
        found.append(f"CHANGELOG.md has no heading '## [{version}] - YYYY-MM-DD'")
    return found


if __name__ == "__main__":
    messages = problems(sys.argv[1])
    print("\n".join(messages) or f"{sys.argv[1]} can be released")
    sys.exit(1 if messages else 0)
