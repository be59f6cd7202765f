"""The worker process: takes jobs from Redis and samples them."""
