"""Azure: identities, AKS clusters, images built by ACR, telemetry from Log Analytics."""
