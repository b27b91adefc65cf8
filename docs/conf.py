"""How `make docs` builds these pages: Markdown by MyST, the reference from docstrings. There, a warning is an error."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
# The reference imports operators, and they Airflow, which makes itself a home.
os.environ["AIRFLOW_HOME"] = str(ROOT / "build" / "docs-airflow")

from airflow_provider_neuro_buckets import __version__  # noqa: E402 - as said

project = "airflow-provider-neuro-buckets"
author = "the maintainers"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["example-project"]
highlight_language = "none"
suppress_warnings = ["misc.highlighting_failure"]  # its shell knows no quotation over several lines
html_theme = "furo"
html_title = f"Neuro Buckets for Airflow {version}"
html_copy_source = False

myst_heading_anchors = 4
"""Headings have the anchors that a forge gives them, so that one link works in both."""

default_role = "code"
"""`One backtick` in a docstring."""
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
python_use_unqualified_type_names = True

nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!airflow_provider_neuro_buckets).*")]
"""Names of others lead nowhere; each of ours must lead somewhere."""


def setup(app: Sphinx) -> None:
    """Let parameters keep the underscore at their end, which otherwise makes a link of a word."""

    def keep_underscores(
        _app: object, _what: str, _name: str, _object: object, _options: object, lines: list[str]
    ) -> None:
        lines[:] = [re.sub(r"^(:param \w+)_:", r"\1\\_:", line) for line in lines]

    app.connect("autodoc-process-docstring", keep_underscores)
