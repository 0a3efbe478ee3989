"""Where the files lie that come with labctl: labs, scenarios, findings, mends, and what all is made from."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent
LABS = PACKAGE / "labs"
SCENARIOS = PACKAGE / "scenarios"
FINDINGS = PACKAGE / "findings"
TEMPLATES = PACKAGE / "templates"
SCRIPTS = PACKAGE / "scripts"
MENDS = PACKAGE / "mends"


def images_folder() -> Path:
    """images/, in a checkout beside the package, in an installation within it."""
    within = PACKAGE / "images" / "contexts"
    return within if within.is_dir() else PACKAGE.parent / "images"
