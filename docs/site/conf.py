"""Sphinx makes the site of the repository's Markdown files where they are, which GitHub shows as well (`make docs`)."""

import imgsvc

project = "imgsvc"
project_copyright = "%Y, the imgsvc authors"
release = version = imgsvc.__version__
extensions = ["myst_parser", "sphinx_copybutton", "sphinx_external_toc"]

root_doc = "docs/README"
external_toc_path = "docs/site/toc.yml"
include_patterns = ["*.md", "docs/**.md", "benchmarks/**.md", "loadtests/**.md", "clients/**.md"]
exclude_patterns = [".*", "**/node_modules", "var", "dist", "docs/_build", "benchmarks/.*"]

myst_heading_anchors = 4
nitpicky = True

html_theme = "pydata_sphinx_theme"
html_title = "imgsvc"
html_favicon = "../../pages/static/icon.svg"
html_static_path = ["static"]
html_css_files = ["imgsvc.css"]
templates_path = ["templates"]
html_additional_pages = {"index": "index.html"}
html_show_sourcelink = False
html_copy_source = False
html_context = {"default_mode": "auto"}
html_sidebars = {"docs/README": [], "docs/tutorial": []}
html_theme_options = {
    "logo": {"text": "imgsvc"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
