"""Sphinx builds the site: `make docs`."""

from importlib.metadata import version as installed_version

project = "GLU width pruning benchmark"
author = "The contributors"
copyright = "the contributors (MIT)"
release = version = installed_version("glu-width-bench")

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = True
smartquotes = False  # `--lf` in running text keeps its dashes

html_theme = "furo"
html_title = project
html_show_sphinx = False
html_copy_source = False

# The site opens offline; links to other sites are checked by `make linkcheck`, which needs a network.
linkcheck_timeout = 20
linkcheck_anchors = False
