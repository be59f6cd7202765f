"""The content security policy of the HTML pages: nothing inline, and nothing from another host."""

from __future__ import annotations


def page_policy(media: str) -> str:
    """The value of ``Content-Security-Policy``.

    Args:
        media: where sounds may come from.
    """
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob: data:",  # icons of style sheets; pictures that the page has requested
            f"media-src {media}",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
