"""What weir asks of a Kubernetes API server: ``python -m benchmarks.cluster``."""
