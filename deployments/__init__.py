"""What prefect.yaml refers to beside the flows."""
