"""A lab and a stack as the containers, files and network that make them, and the plan that gets there."""
