"""Where files come from: signed by C2PA (c2pa.py), with a certificate and its key. Needs the extra
``provenance``."""
