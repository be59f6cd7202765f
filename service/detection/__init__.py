"""Whether a file was made here, over HTTP: ``POST /v1/detect``."""
