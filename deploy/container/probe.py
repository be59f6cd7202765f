#!/usr/bin/env python3
"""Health check of this container: ``probe PATH [PORT]``; exit code 0 if the response is 200.

The image has no curl. The default port is the API's.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT_SECONDS = 4


def main(path: str, port: str = os.environ.get("ANCESTRAL_PORT", "8000")) -> int:
    """Send one request. Returns the exit code."""
    connection = HTTPConnection("127.0.0.1", int(port), timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        print(response.read(2000).decode(errors="replace"))
    except (OSError, HTTPException) as error:
        print(f"port {port} does not answer: {error}")
        return 1
    finally:
        connection.close()
    return int(response.status != 200)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
