"""Websocket sessions that speak text: the native protocol and that of ElevenLabs."""
