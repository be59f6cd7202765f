"""Speech: what is said, the sound while it is sampled, and when each word is spoken."""
