"""Scenarios: the file, the steps, the live lab that they act on, and the runner."""
