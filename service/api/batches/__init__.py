"""Batches of requests, in OpenAI's dialect."""
