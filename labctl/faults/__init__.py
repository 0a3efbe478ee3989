"""What can go wrong with a node or a network, how it is put in force, and how it is undone."""
