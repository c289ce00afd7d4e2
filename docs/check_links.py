"""Checks every link of the built site: python docs/check_links.py build/site.

Links within the site must lead to a page, and to a place that is on it. Pictures, scripts and styles must all be the
site's own. Links to other places are listed, and not followed: whether they still work is not known here.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}
# Of these a browser loads nothing by itself.
NOT_LOADED = {"canonical", "prev", "next"}


class _Links(HTMLParser):
    """What a page links to and loads, and the places on it that can be linked to."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value for key, value in attrs if value is not None}
        self.places.update(values[key] for key in ("id", "name") if key in values)
        for key in ("href", "src"):
            if key not in values:
                continue
            if (tag, key) in LOADED and values.get("rel") not in NOT_LOADED:
                self.loads.append(values[key])
            else:
                self.links.append(values[key])


@dataclass
class SiteLinks:
    """broken: page and link of what leads nowhere; external: addresses, each with the pages that name it."""

    n_checked: int = 0
    broken: list[tuple[str, str]] = field(default_factory=list)
    external: dict[str, list[str]] = field(default_factory=dict)


def check_links(site: Path) -> SiteLinks:
    pages: dict[Path, _Links] = {}
    for path in sorted(site.rglob("*.html")):
        pages[path.resolve()] = parsed = _Links()
        parsed.feed(path.read_text(encoding="utf-8"))
    result = SiteLinks()
    for path, page in pages.items():
        name = path.relative_to(site.resolve()).as_posix()
        for link, loaded in [(one, False) for one in page.links] + [(one, True) for one in page.loads]:
            parts = urlsplit(link)
            if parts.scheme in ("data", "mailto", "javascript"):
                continue
            if parts.scheme or parts.netloc:
                if loaded:
                    result.broken.append((name, f"{link} is loaded from elsewhere"))
                result.external.setdefault(link, []).append(name)
                continue
            result.n_checked += 1
            if name == "404.html":
                continue  # it is shown in place of any page, so its links begin at the site's root
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            place = unquote(parts.fragment)
            if place.startswith("__") or target not in pages:  # the theme's own switches; pictures and the like
                place = ""
            if not target.is_file() or (place and place not in pages[target].places):
                result.broken.append((name, link))
    return result


def main(site: Path) -> int:
    result = check_links(site)
    for address, pages in sorted(result.external.items()):
        print(f"not followed: {address} ({', '.join(sorted(set(pages))[:3])})")
    for page, link in result.broken:
        print(f"broken: {page}: {link}", file=sys.stderr)
    print(f"{result.n_checked} links within the site, {len(result.broken)} broken; {len(result.external)} others")
    return 1 if result.broken or not result.n_checked else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
