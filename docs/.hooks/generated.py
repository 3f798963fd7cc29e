"""Make the pages that are never written by hand: help of every command, tasks, API."""

from __future__ import annotations

import os

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from harness.cli.manual import api_page, commands_page, tasks_page

PAGES = {
    "reference/commands.md": commands_page,
    "reference/tasks.md": tasks_page,
    "reference/api.md": api_page,
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those of the folder."""
    os.environ["COLUMNS"] = "80"  # help is wrapped alike on every screen
    for name, make in PAGES.items():
        files.append(File.generated(config, name, content=make()))
    return files
