"""Docker: the only package that imports its library."""
