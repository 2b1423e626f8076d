"""Whether a page of another origin may read a response: the CORS headers (fetch.spec.whatwg.org).

A page whose origin is named by ``--allow-origin`` may read everything that its user may read, and
import the hub's scripts. Other pages of this host, such as those of a development server on another
port, may connect a WebSocket. Over HTTP they may read only what they fetch with the token: any
program of this machine can serve such a page.

`AccessPolicy.check_source` comes first and refuses all other origins.
"""

from __future__ import annotations

from jobctl.core.protocol import FEATURES_HEADER, HUB_HEADER
from jobctl.hub.access import AccessPolicy, AccessRequest

__all__ = ["cross_origin_headers", "is_preflight", "preflight_headers"]

_METHODS = "GET, HEAD"
_MAX_AGE_S = 600  # for which a browser need not ask again
_READABLE = ("ETag", "Retry-After", HUB_HEADER, FEATURES_HEADER)
_TOKEN_HEADER = "authorization"  # noqa: S105 - the name of a header


def is_preflight(access_request: AccessRequest, method: str) -> bool:
    """Whether the request is a preflight, which a browser sends without token and cookie."""
    return (
        method == "OPTIONS"
        and bool(access_request.all("origin"))
        and bool(access_request.all("access-control-request-method"))
    )


def preflight_headers(policy: AccessPolicy, access_request: AccessRequest) -> dict[str, str]:
    """Return the headers of the answer to a preflight; without any the browser refuses the page."""
    asked = ",".join(access_request.all("access-control-request-headers")).lower()
    names = [name for part in asked.split(",") if (name := part.strip())]
    if not policy.is_named_origin(access_request) and _TOKEN_HEADER not in names:
        return {}
    return {
        **_allowed(access_request),
        "Access-Control-Allow-Methods": _METHODS + (", POST" if policy.control else ""),
        "Access-Control-Allow-Headers": "Authorization, Content-Type, If-None-Match",
        "Access-Control-Max-Age": str(_MAX_AGE_S),
    }


def cross_origin_headers(
    policy: AccessPolicy, access_request: AccessRequest, *, authenticated: bool
) -> dict[str, str]:
    """Return the headers that let the page read the response; none if it may not.

    A token counts only if the request is ``authenticated``, that is, `AccessPolicy.authenticate`
    has granted it rights. Otherwise the headers would tell whether a token is right without the
    delay for wrong ones.
    """
    if not access_request.all("origin"):
        return {}
    by_token = authenticated and policy.has_token(access_request)
    if not by_token and not policy.is_named_origin(access_request):
        return {}
    return {
        **_allowed(access_request),
        "Access-Control-Expose-Headers": ", ".join(_READABLE),
        "Cross-Origin-Resource-Policy": "cross-origin",
    }


def _allowed(access_request: AccessRequest) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": access_request.all("origin")[0],
        "Access-Control-Allow-Credentials": "true",
    }
