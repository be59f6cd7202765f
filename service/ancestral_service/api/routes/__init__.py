"""The HTTP and websocket routes, one file a resource."""
