"""What a policy does at an endpoint's own traffic, before it is shipped."""
