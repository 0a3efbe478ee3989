"""A stack: one generation of Asterisk and Corosync, as data."""
