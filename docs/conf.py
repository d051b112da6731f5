"""Sphinx configuration."""

import shutil
import socket
import sys
from pathlib import Path

from skcgcnn import __version__

project = "skcgcnn"
author = "The skcgcnn developers"
copyright = "2026, The skcgcnn developers"
release = __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

extensions = [
    "mathml",
    "reference",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "myst_nb",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
]
autosummary_generate = True
templates_path = ["_templates"]
autodoc_typehints = "none"
numpydoc_show_class_members = False
toc_object_entries_show_parents = "hide"
html_math_renderer = "mathml"
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
# Docstrings that are inherited from scikit-learn refer to pages of its own.
suppress_warnings = ["ref.ref"]

# The notebooks are kept with their outputs; CI runs them before.
nb_execution_mode = "off"
for notebook in sorted((HERE.parent / "notebooks").glob("*.ipynb")):
    shutil.copyfile(notebook, HERE / "notebooks" / notebook.name)


def _answers(url: str) -> bool:
    """Return whether a host can be reached: without a network there are no links to it."""
    try:
        socket.create_connection((url.split("/")[2], 443), timeout=2).close()
    except OSError:
        return False
    return True


intersphinx_mapping = {
    name: (url, None)
    for name, url in {
        "sklearn": "https://scikit-learn.org/stable/",
        "torch": "https://docs.pytorch.org/docs/stable/",
        "pymatgen": "https://pymatgen.org/",
        "numpy": "https://numpy.org/doc/stable/",
        "skorch": "https://skorch.readthedocs.io/en/stable/",
    }.items()
    if _answers(url)
}

html_theme = "pydata_sphinx_theme"
html_title = "skcgcnn"
html_theme_options = {
    "github_url": "https://github.com/skcgcnn/skcgcnn",
    "header_links_before_dropdown": 5,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
}
# Pages without others below them: their navigation would be empty.
ALONE = ["getting_started", "command_line", "coming_from_cgcnn", "theory", "benchmarks", "citing"]
html_sidebars = {page: [] for page in ALONE}
html_static_path = ["_static"]
html_css_files = ["skcgcnn.css"]
