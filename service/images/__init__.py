"""Pictures on the road that sound takes, too: what is asked for, how it is sampled, how it reaches the client."""
