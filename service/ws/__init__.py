"""Websockets: one connection, bounded; one conversation; and the two dialects in which text is spoken."""
