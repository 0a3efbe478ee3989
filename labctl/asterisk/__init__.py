"""Asterisk's words: what its CLI, its manager interface and DUNDi print, as values; and what it is told."""
