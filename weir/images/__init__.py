"""Container images: what goes into one, builders of them, and the registry they go to."""
