"""Websocket connections with bounded messages and times, whatever is sent over them."""
