"""How `make docs` builds these pages: Markdown by MyST, the reference from docstrings. There, a warning is an error."""

from __future__ import annotations

import os
from pathlib import Path

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
autodoc_typehints = "none"
"""Signatures show names and defaults; what a parameter takes, its sentence says."""

nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!airflow_provider_neuro_buckets).*")]
"""Names of others lead nowhere; each of ours must lead somewhere."""
