"""Make the pages that are never written by hand: help of every command, tasks, API."""

from __future__ import annotations

import os
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from harness.cli.manual import api_page, commands_page, tasks_page

PAGES = {
    "reference/commands.md": commands_page,
    "reference/tasks.md": tasks_page,
    "reference/api.md": api_page,
}

PICTURES = {"results/study/map.png": Path(__file__).parents[2] / "results/study/map.png"}
"""Pictures by where pages find them, seen from the folder of the manual."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those of the folder."""
    os.environ["COLUMNS"] = "80"  # help is wrapped alike on every screen
    for name, make in PAGES.items():
        files.append(File.generated(config, name, content=make()))
    for name, path in PICTURES.items():
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Let pages show pictures that are kept with the results, outside of the manual's folder."""
    for name in PICTURES:
        markdown = markdown.replace(f"(../{name})", f"({name})")
    return markdown
