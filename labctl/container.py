"""Where 0.1 had `AsteriskCluster`; it is in labctl.testcontainers now, and this module goes with 0.3."""

from __future__ import annotations

import warnings

from labctl.testcontainers import AsteriskCluster

__all__ = ["AsteriskCluster"]

warnings.warn("labctl.container has moved: import from labctl.testcontainers", DeprecationWarning, stacklevel=2)
