"""How Sphinx builds the documentation: `make docs`."""

import os
import re
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from qdistill import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "qdistill"
author = "The qdistill developers"
copyright = author
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "command_help",
]
exclude_patterns = ["_build", "jupyter_execute"]

html_theme = "sphinx_book_theme"
html_title = f"qdistill {release}"
html_static_path = ["_static"]
html_css_files = ["own.css"]
html_theme_options = {"show_toc_level": 2, "home_page_in_toc": True}

# Docstrings put code between single backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the signatures hold shapes, which Sphinx cannot read; the docstrings say them in words
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 4
# Tutorials run when they have changed; `QDISTILL_DOCS_NOTEBOOKS=off` builds the pages without their outputs.
nb_execution_mode = os.environ.get("QDISTILL_DOCS_NOTEBOOKS", "cache")
nb_execution_cache_path = str(Path(__file__).parents[1] / ".jupyter_cache")
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True


def setup(app: Sphinx) -> None:
    """Read a bar in a docstring as a bar: in reStructuredText, that of |0> would begin a substitution."""

    def escape_bars(app: Sphinx, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
        lines[:] = [re.sub(r"(`[^`]*`)|\|", lambda found: found[1] or r"\|", line) for line in lines]

    app.connect("autodoc-process-docstring", escape_bars)
