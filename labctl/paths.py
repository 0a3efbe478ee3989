"""Where the files lie that come with labctl: labs, scenarios, templates, scripts, and what images are built from."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent
LABS = PACKAGE / "labs"
SCENARIOS = PACKAGE / "scenarios"
TEMPLATES = PACKAGE / "templates"
SCRIPTS = PACKAGE / "scripts"


def images_folder() -> Path:
    """images/, in a checkout beside the package, in an installation within it."""
    within = PACKAGE / "images" / "contexts"
    return within if within.is_dir() else PACKAGE.parent / "images"
