"""Text in other languages than English: one engine of rules, a table a language, and the sounds of each."""
