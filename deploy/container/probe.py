#!/usr/bin/env python3
"""Ask a process of this container whether it is well: ``probe PATH [PORT]``; exit code 0 if it answers 200.

An image without curl needs something to call in its health checks. The port is that of the API unless one is given.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT_SECONDS = 4


def main(path: str, port: str = os.environ.get("ANCESTRAL_PORT", "8000")) -> int:
    """Ask once; 0 if all is well."""
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
