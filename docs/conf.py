"""Sphinx configuration."""

import shutil
import socket
from pathlib import Path

from skcgcnn import __version__

project = "skcgcnn"
author = "The skcgcnn developers"
copyright = "2026, The skcgcnn developers"
release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "myst_nb",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
]
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
# Docstrings that are inherited from scikit-learn refer to pages of its own.
suppress_warnings = ["ref.ref"]

# The notebooks are kept with their outputs; CI runs them before.
nb_execution_mode = "off"
HERE = Path(__file__).parent
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
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"getting_started": [], "coming_from_cgcnn": [], "theory": [], "benchmarks": []}
html_static_path = ["_static"]
html_css_files = ["skcgcnn.css"]
