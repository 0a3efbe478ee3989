"""What labctl found wrong with Asterisk and Corosync: a file each, held to the scenarios that show it."""
