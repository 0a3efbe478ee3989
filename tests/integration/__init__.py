"""Tests that need a Docker Engine: the verbs, and what is left behind."""
