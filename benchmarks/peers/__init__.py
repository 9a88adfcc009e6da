"""Decision rules of other rollout tools and bounds for all of them, on simulated traffic."""
