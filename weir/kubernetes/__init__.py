"""Kubernetes: every port over the API server, with the Gateway API in front."""
