"""ElevenLabs' dialect, over HTTP and over two websockets, with the voices and models of this server."""
