"""The tests of labctl."""
