"""What MkDocs is asked to do besides: pages of files outside docs/, and pages that the code writes.

README.md is the home page, so that nothing is written twice. A link of a page to a file outside docs/ leads to that
file's page in the site.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from reference_pages import commands_page, errors_page, recipe_keys_page  # noqa: E402

# Files outside docs/ that the site has, by their names there.
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "tests/golden/README.md": "golden-networks.md",
    "CITATION.cff": "CITATION.cff",
    "LICENSE": "LICENSE.txt",
}
WRITTEN = {
    "reference/commands.md": commands_page,
    "reference/errors.md": errors_page,
    "reference/recipe-keys.md": recipe_keys_page,
}
# Not those that a notebook holds itself.
PICTURE = re.compile(r'<img [^>]*src="(?P<source>(?!data:)[^"]+)"[^>]*>')
CELL = re.compile(r"<td[^>]*>[^<]*</td>")
# The spaces of '76.17 ± 0.45 %' and of '26.0 to 28.7'.
TOGETHER = re.compile(r"(?<=\d) (?=[±%])|(?<=±) (?=\d)|(?<=\d) (?=to [+-]?\d)|(?<=\d to) (?=[+-]?\d)")
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?\)")


def with_site_links(markdown: str, source: str, page: str) -> str:
    """A page's text with links that hold in the site.

    source   the file that the text stands in, from the project's root
    page     the file that it becomes, from docs/
    """

    def replaced(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        if path in OUTSIDE:
            target = OUTSIDE[path]
        elif path.startswith("docs/"):
            target = path.removeprefix("docs/")
        else:
            return match[0]  # MkDocs warns, which is an error when it is strict
        return f"]({posixpath.relpath(target, posixpath.dirname(page) or '.')}{match[2] or ''})"

    return LINK.sub(replaced, markdown)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for source, page in OUTSIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if page.endswith(".md"):
            # Pictures are written as in docs/, where the page is to be.
            text = with_site_links(text, source, page)
        files.append(File.generated(config, page, content=text))
    for page, write in WRITTEN.items():
        files.append(File.generated(config, page, content=write()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    uri = page.file.src_uri
    if uri in OUTSIDE.values() or uri in WRITTEN:
        return markdown
    return with_site_links(markdown, f"docs/{uri}", uri)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Pictures open at their full size, figures in tables stay on one line, and links of notebooks lead to pages."""
    html = PICTURE.sub(r'<a href="\g<source>">\g<0></a>', html)
    html = CELL.sub(lambda cell: TOGETHER.sub("\N{NO-BREAK SPACE}", cell[0]), html)
    if not page.file.src_uri.endswith(".ipynb"):
        return html
    # MkDocs does not know these links.
    return re.sub(r'href="(?![a-z]+:)([^"#]+)\.md(#[^"]*)?"', r'href="\1.html\2"', html)
