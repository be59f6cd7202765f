"""Sound: requests, payloads, sampling, decoding, encoding, websocket sessions."""
