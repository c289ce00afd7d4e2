"""How this copy of delaytool was installed, so that messages name a command which works for it."""

from __future__ import annotations


def install_command(extra: str) -> str:
    """The command that adds an extra to this installation.

    From a checkout or another folder that pip installed from, it names that folder (`direct_url.json`, PEP 610); else
    the package, as in `pip install "delaytool[plots]"`: Windows' cmd.exe takes double quotes off, but no single ones.
    """
    # Imported here: they take longer than the rest of the command line's start.
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote, urlparse
    from urllib.request import url2pathname

    try:
        origin = json.loads(distribution("delaytool").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        origin = {}
    url = urlparse(str(origin.get("url", "")))
    if "dir_info" not in origin or url.scheme != "file":
        return f'pip install "delaytool[{extra}]"'
    folder = url2pathname(unquote(url.path))
    editable = "-e " if origin["dir_info"].get("editable") else ""
    return f'pip install {editable}"{folder}[{extra}]"'
