"""Websocket sessions in which text is spoken: the native dialect and that of ElevenLabs."""
