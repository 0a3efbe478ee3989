"""A containerised multi-node lab for Asterisk clusters."""

__version__ = "0.2.0"
