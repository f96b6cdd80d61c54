"""A counterexample as one HTML page to step through: no other file and no network is needed.

The page is a fixed text with the counterexample as JSON in it, so replacing one mark is all the templating there is.
`wintunsim.ring_drawing` draws rings of megabytes to scale; here each four bytes of a tiny ring are a cell to look into.
"""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files

from wintunsim.explore.counterexample import Counterexample
from wintunsim.explore.report_json import counterexample_fields

_TITLE, _DATA = "<!--title-->", "/*data*/null"


def counterexample_html(found: Counterexample) -> str:
    """The page. All that scenarios and users name is escaped."""
    page = files("wintunsim.explore").joinpath("page.html").read_text(encoding="utf-8")
    # In a script element only the end tag and comments could be misread: no "<" is left.
    data = json.dumps(counterexample_fields(found), ensure_ascii=False).replace("<", "\\u003c")
    title = escape(f"{found.scenario}: {found.title}")
    return page.replace(_TITLE, title).replace(_DATA, data)
