"""Pictures: requests, payloads, sampling, decoding, encoding, the websocket."""
