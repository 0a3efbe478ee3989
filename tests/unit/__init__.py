"""Tests of what needs no Docker: all of them in a few seconds."""
