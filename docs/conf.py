"""The documentation's build, for Sphinx: nothing in it needs the network."""

from importlib.metadata import version as installed_version

project = "Tocsin"
release = version = installed_version("tocsin")
copyright = "the Tocsin contributors"  # noqa: A001 - Sphinx's name

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["build"]
default_role = "code"  # docstrings write code in single backticks

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_class_signature = "separated"
autodoc_default_options = {"exclude-members": "__init__, __new__"}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the arguments' descriptions and the source say it; short is better

html_theme = "furo"
html_title = "Tocsin"
html_show_sourcelink = False
