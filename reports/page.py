"""Putting a page together: the template with autoescape, style and script with their hashes in the policy.

Three things reach the page without escaping: our own style sheet, our own scripts, and SVG built element
by element. Data for the scripts travels as base64. The policy lets nothing else run and nothing be loaded.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources

import jinja2
from markupsafe import Markup

SCRIPTS = ("data.js", "view.js", "paint.js", "panels.js", "operation_panels.js", "timeline.js", "page.js")


def _static(name: str) -> str:
    return resources.files("reports").joinpath("static", name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def style() -> str:
    """The style sheet."""
    return _static("report.css")


def script() -> str:
    """All scripts as one, in a fixed order, in a scope of their own."""
    parts = "\n".join(_static(name) for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{parts}}})();\n'


def policy(style_text: str, script_text: str) -> str:
    """What the browser lets this page do."""
    return (
        f"default-src 'none'; script-src {_source(script_text)}; style-src {_source(style_text)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def fill(context: Mapping[str, object]) -> str:
    """The page as text that encodes to UTF-8."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        auto_reload=False,
        keep_trailing_newline=True,
    )
    style_text, script_text = style(), script()
    return environment.get_template("report.html.j2").render(
        style=Markup(style_text),  # ours, and neither holds an end tag: a test looks
        script=Markup(script_text),
        policy=policy(style_text, script_text),
        **context,
    )
