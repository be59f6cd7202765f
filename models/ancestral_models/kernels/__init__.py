"""The kernels of the native engine in C, and the layouts of what they read. Nothing in here knows of streams, requests
or torch."""
