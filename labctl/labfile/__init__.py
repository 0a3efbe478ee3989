"""The lab file: a short YAML in, a Lab with every default filled in (or every mistake) out."""
