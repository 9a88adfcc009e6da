"""weir ships machine-learning model versions by evidence."""

__version__ = "0.1.0"
