"""The images of a stack: recipes, mirrors, patches, and the builder."""
