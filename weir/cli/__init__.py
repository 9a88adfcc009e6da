"""The command `weir`. Stands above flows: it starts them, nothing below it knows of it."""
