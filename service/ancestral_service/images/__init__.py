"""Pictures: their answers, their streams, the websocket."""
