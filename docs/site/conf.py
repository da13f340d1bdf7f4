"""Sphinx makes the site of the repository's Markdown files where they are, which GitHub shows as well (`make docs`)."""

from pathlib import Path

import imgsvc

ROOT = Path(__file__).parents[2]

project = "imgsvc"
author = "the imgsvc authors"
project_copyright = "%Y, the imgsvc authors"
release = version = imgsvc.__version__
extensions = ["myst_parser", "sphinx_copybutton", "sphinx_external_toc"]

root_doc = "docs/index"
external_toc_path = "docs/site/toc.yml"
external_toc_exclude_missing = False
include_patterns = ["*.md", "docs/**.md", "benchmarks/**.md", "loadtests/**.md", "clients/**.md"]
exclude_patterns = [".*", "**/node_modules", "var", "dist", "docs/_build", "benchmarks/.*"]

myst_enable_extensions = ["alert"]
myst_heading_anchors = 4
myst_number_code_blocks = []
suppress_warnings = []
nitpicky = True

html_theme = "pydata_sphinx_theme"
html_title = "imgsvc"
html_static_path = ["static"]
html_css_files = ["imgsvc.css"]
templates_path = ["templates"]
html_additional_pages = {"index": "index.html"}
html_show_sourcelink = False
html_copy_source = False
html_last_updated_fmt = None
html_theme_options = {
    "logo": {"text": "imgsvc"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "show_prev_next": True,
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
copybutton_selector = "div.highlight pre"
