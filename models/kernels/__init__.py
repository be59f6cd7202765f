"""What numba compiles for the native engine. Nothing in here knows of streams, requests or torch."""
