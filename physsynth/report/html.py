"""Render a document as one HTML page that opens without a network: style, script and data inside."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from physsynth.report.document import Document, is_number, plain, shown

SIGNS = {"good": "✓", "caution": "!", "bad": "✕", "neutral": ""}


def render(document: Document) -> str:
    """Return the page as text.

    Raises
    ------
    ValueError
        If two figures have the same id.
    """
    ids = [figure.id for figure in document.figures]
    if len(set(ids)) != len(ids):
        raise ValueError(f"two figures with the same id: {sorted(ids)}")
    specs = {figure.id: plain(figure.spec) for figure in document.figures}
    page = _environment().get_template("page.html.j2")
    plotly = _plotly() if specs else Markup("")
    return page.render(document=document, specs=_json_block(specs), style=_style(), plotly=plotly)


def _json_block(tree) -> Markup:
    """Write JSON so that no text in it can end the script element it stands in."""
    text = json.dumps(tree, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


@cache
def _plotly() -> Markup:
    from plotly.offline import get_plotlyjs

    return Markup(get_plotlyjs().replace("</script", "<\\/script").replace("<!--", "<\\!--"))


@cache
def _style() -> Markup:
    return Markup((files("physsynth.report") / "style.css").read_text(encoding="utf-8"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("physsynth.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    environment.tests["numeric"] = is_number
    environment.globals["signs"] = SIGNS
    return environment
