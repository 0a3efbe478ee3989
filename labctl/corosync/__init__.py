"""Corosync's words: what its tools and its log tell of a ring."""
