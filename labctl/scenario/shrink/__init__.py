"""Shrinks a scenario that fails to the least of it that fails the same way, by running it again and again."""
