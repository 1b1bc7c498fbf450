"""Slack's HTTP endpoint: the signature is checked on the raw body before anything reads it."""

import re
from collections.abc import Awaitable, Callable

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_sdk.signature import SignatureVerifier

PATH = "/slack/events"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")


def slack_endpoint(app: AsyncApp, signing_secret: str) -> Handler:
    """The handler for `PATH`. Raises ValueError without a secret: Bolt would only notice at the first request."""
    if not signing_secret:
        raise ValueError("the HTTP endpoint needs a signing secret")
    verifier = SignatureVerifier(signing_secret)

    async def receive(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
        signature = request.headers.get("X-Slack-Signature", "")
        # Bolt answers 500 to a timestamp that is no number; it is as wrong as any other forgery.
        readable = _TIMESTAMP.fullmatch(timestamp) and _SIGNATURE.fullmatch(signature)
        if not readable or not verifier.is_valid(body, timestamp, signature):
            return web.Response(status=401, text="invalid request signature")
        try:
            received = await to_bolt_request(request)
        except ValueError:  # signed, but neither a form nor JSON
            return web.Response(status=400, text="unreadable body")
        return await to_aiohttp_response(await app.async_dispatch(received))

    return receive
