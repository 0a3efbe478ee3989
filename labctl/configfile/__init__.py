"""Configuration files of Asterisk and Corosync as text: sections and keys of them replaced, added and taken out."""
