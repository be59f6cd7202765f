"""Requests for sound: schemas, admission, sampling, decoding, encoding, websocket sessions."""
