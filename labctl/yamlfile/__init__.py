"""YAML files: read with the line of every value, and checked with every mistake at once."""
