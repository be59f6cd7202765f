"""The dialect of OpenAI's Realtime API."""
