"""What holds for every HTTP request: middleware, authentication, CORS, rate limit, errors."""
