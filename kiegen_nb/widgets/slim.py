"""Our JavaScript and CSS without what only people need; both travel with every widget and into saved states."""

from __future__ import annotations

import re
from pathlib import Path

_HERE = Path(__file__).parent
# Strings, templates (none may hold another one) and regular expressions: nothing in them is touched.
_TEXT = r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`"""
_KEPT = rf"""(?P<kept>{_TEXT}|\s*[(,=:]\s*/(?![/*])(?:[^/\\\n]|\\.)+/[a-z]*)"""
_COMMENT = re.compile(rf"{_KEPT}|\s*//[^\n]*")
_SPACE = re.compile(rf"{_KEPT}|\s*(?P<sign>[-+*/%=<>!?:;,.&|(){{}}[\]])\s*|(?P<gap>\s+)")


def slim(name: str) -> str:
    """Return a file of this folder without comments and needless space."""
    text = (_HERE / name).read_text(encoding="utf-8")
    return slim_css(text) if name.endswith(".css") else slim_js(text)


def slim_js(text: str) -> str:
    """Return JavaScript on one line; its statements must end with semicolons, as ours do."""
    bare = _COMMENT.sub(lambda found: found["kept"] or "", text)
    joined = _SPACE.sub(lambda found: (found["kept"] or found["sign"] or " ").strip() or " ", bare)
    return joined.replace(",}", "}").replace(";}", "}").strip()


def slim_css(text: str) -> str:
    """Return a style sheet on one line."""
    line = " ".join(text.split())
    return re.sub(r"\s*([{};,>])\s*|(:)\s+", r"\1\2", line).replace(";}", "}").strip()
