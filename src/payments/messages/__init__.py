"""Messages on their way to people: what they say, by which sinks they go, and their sending."""
