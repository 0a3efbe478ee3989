"""Verdicts on a history: the expected state, one module a rule, and what is known to fail."""
