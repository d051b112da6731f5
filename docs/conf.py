"""Sphinx configuration."""

from skcgcnn import __version__

project = "skcgcnn"
author = "The skcgcnn developers"
copyright = "2026, The skcgcnn developers"
release = __version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
exclude_patterns = ["_build"]
html_theme = "alabaster"
# Docstrings that are inherited from scikit-learn refer to pages of its own.
suppress_warnings = ["ref.ref"]
