"""Sound: its answers, its streams, websocket sessions."""
