"""The site: ``pip install '.[docs]' && python -m sphinx -W docs docs/_build``, without network."""

import os
import sys
import warnings
from importlib.metadata import version as installed
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))
os.environ.setdefault("NUMBA_NUM_THREADS", "2")

# SymPy's own functions, which those of the language inherit from, have sections of other names.
warnings.filterwarnings("ignore", "Unknown section Explanation", UserWarning)

from scripts import Saved, prepare  # noqa: E402

prepare(HERE.parent / "examples", HERE / "scripts")

project = "attention-dynamics"
author = "its authors"
version = release = installed("attention-dynamics")
extensions = [
    "sphinx.ext.autodoc", "numpydoc", "myst_parser", "sphinx_gallery.gen_gallery", "theory", "reference", "pages",
]  # fmt: skip
exclude_patterns = ["_build", "extensions", "scripts", "**/GALLERY_HEADER.rst", "**/*.ipynb"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
master_doc = "index"
nitpicky = False

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"undoc-members": False}
add_module_names = False

sphinx_gallery_conf = {
    "examples_dirs": ["scripts"],
    "gallery_dirs": ["gallery"],
    # Scripts in cells are run; the others are shown with the figures that they made before.
    "filename_pattern": r"tutorial",
    "image_scrapers": (Saved(),),
    "reset_modules": (),
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "capture_repr": ("_repr_html_", "__repr__"),
    "copyfile_regex": r".*\.svg",
    "nested_sections": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "How attention learns"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": True,
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "secondary_sidebar_items": ["page-toc"],
}
html_show_sourcelink = False
html_copy_source = False
