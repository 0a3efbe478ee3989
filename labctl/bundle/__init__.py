"""A run as one file that can be sent, and run again by whoever gets it: its layout, how it is written and read."""
