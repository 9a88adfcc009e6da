"""The steps of a release over the ports: each idempotent, each recorded before and after."""
