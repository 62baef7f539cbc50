"""The directive `command-help`: what a command says of itself, taken from its parser when the pages are built."""

import os
import subprocess
import sys

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class CommandHelp(SphinxDirective):
    """The help of one command line, such as ``.. command-help:: distill mnist``."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Call the command and show what it prints."""
        words = self.arguments[0].split()
        environment = {**os.environ, "COLUMNS": "96", "NO_COLOR": "1", "TERM": "dumb"}
        call = [sys.executable, "-m", "qdistill", *words]
        result = subprocess.run(call, env=environment, capture_output=True, text=True, encoding="utf-8")
        if result.returncode:
            raise self.error(f"{' '.join(call)} failed: {result.stderr}")
        return [nodes.literal_block(result.stdout, result.stdout, language="text")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True}
