"""Tokens and paths that somebody made up; each gets the refusal it deserves."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey
from odeon_testkit import wire
from odeon_testkit.edge import Edge
from odeon_testkit.issuer import Issuer
from odeon_testkit.origin import Origin, Reply

FILE = "v720/p0.0.m4s"
UNSET = object()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Forge:
    """Makes good tokens and bad ones."""

    issuer: Issuer

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        good = {
            "iss": "odeon",
            "aud": "odeon:playback",
            "sub": "viewer",
            "role": "viewer",
            "tenant": "acme",
            "event": "ev1",
            "sid": "v1",
            "iat": now,
            "nbf": now,
            "exp": now + 600,
        }
        return {k: v for k, v in {**good, **changes}.items() if v is not UNSET}

    def raw(self, payload: bytes, *, key: ECKey | None = None, **header: Any) -> str:
        head = {"alg": "ES256", "kid": self.issuer.key.kid, **header}
        head = {k: v for k, v in head.items() if v is not UNSET}
        return jws.serialize_compact(head, payload, key or self.issuer.key, algorithms=["ES256"])

    def token(self, *, key: ECKey | None = None, **changes: Any) -> str:
        return self.raw(json.dumps(self.claims(**changes)).encode(), key=key)

    def headed(self, **header: Any) -> str:
        """A good token whose header was changed before it was signed, whatever it says."""
        head = {"alg": "ES256", "kid": self.issuer.key.kid, **header}
        head = {k: v for k, v in head.items() if v is not UNSET}
        text = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(self.claims()).encode())}"
        good = self.raw(json.dumps(self.claims()).encode())
        return text + "." + good.rsplit(".", 1)[1]

    def unsigned(self, alg: str) -> str:
        head = b64(json.dumps({"alg": alg, "typ": "JWT", "kid": self.issuer.key.kid}).encode())
        return f"{head}.{b64(json.dumps(self.claims()).encode())}."

    def hmac(self, secret: bytes) -> str:
        head = b64(json.dumps({"alg": "HS256", "kid": self.issuer.key.kid}).encode())
        signed = f"{head}.{b64(json.dumps(self.claims()).encode())}"
        return f"{signed}.{b64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"

    def tampered(self, change: Callable[[str, str, str], str]) -> str:
        return change(*self.token().split("."))

    def foreign(self) -> ECKey:
        return ECKey.generate_key("P-256", {"kid": str(self.issuer.key.kid)})


Make = Callable[[Forge], str]
TOKENS: dict[str, tuple[Make, int, str]] = {
    "expired": (lambda f: f.token(exp=int(time.time()) - 1), 401, "TOKEN_EXPIRED"),
    "expires now": (lambda f: f.token(exp=int(time.time())), 401, "TOKEN_EXPIRED"),
    "no exp": (lambda f: f.token(exp=UNSET), 401, "TOKEN_INVALID"),
    "exp is text": (lambda f: f.token(exp=str(int(time.time()) + 600)), 401, "TOKEN_INVALID"),
    "exp is a fraction": (lambda f: f.token(exp=time.time() + 600.5), 401, "TOKEN_INVALID"),
    "exp is negative": (lambda f: f.token(exp=-1), 401, "TOKEN_INVALID"),
    "exp is zero": (lambda f: f.token(exp=0), 401, "TOKEN_INVALID"),
    "exp is true": (lambda f: f.token(exp=True), 401, "TOKEN_INVALID"),
    "exp beyond 64 bits": (lambda f: f.token(exp=2**64 + 5), 401, "TOKEN_INVALID"),
    "nbf in the future": (lambda f: f.token(nbf=int(time.time()) + 1000), 401, "TOKEN_NOT_YET"),
    "another issuer": (lambda f: f.token(iss="other"), 401, "TOKEN_INVALID"),
    "no issuer": (lambda f: f.token(iss=UNSET), 401, "TOKEN_INVALID"),
    "audience of the API": (lambda f: f.token(aud="odeon:api"), 401, "TOKEN_INVALID"),
    "audience prefix": (lambda f: f.token(aud="odeon:playback2"), 401, "TOKEN_INVALID"),
    "no audience": (lambda f: f.token(aud=UNSET), 401, "TOKEN_INVALID"),
    "another key, same kid": (lambda f: f.token(key=f.foreign()), 401, "TOKEN_INVALID"),
    "unknown kid": (lambda f: f.raw(b"{}", kid="nobody"), 401, "TOKEN_INVALID"),
    "no kid": (lambda f: f.raw(json.dumps(f.claims()).encode(), kid=UNSET), 401, "TOKEN_INVALID"),
    "kid is a path": (lambda f: f.headed(kid="../../etc/passwd"), 401, "TOKEN_INVALID"),
    "signature changed": (
        lambda f: f.tampered(lambda h, c, s: f"{h}.{c}.{'A' if s[0] != 'A' else 'B'}{s[1:]}"),
        401,
        "TOKEN_INVALID",
    ),
    "payload changed": (
        lambda f: f.tampered(
            lambda h, c, s: f"{h}.{b64(json.dumps(f.claims(sid='x')).encode())}.{s}"
        ),
        401,
        "TOKEN_INVALID",
    ),
    "signature cut": (lambda f: f.tampered(lambda h, c, s: f"{h}.{c}.{s[:-3]}"), 401, "TOKEN_INV"),
    "signature empty": (lambda f: f.tampered(lambda h, c, s: f"{h}.{c}."), 401, "TOKEN_INVALID"),
    "signature padded": (lambda f: f.tampered(lambda h, c, s: f"{h}.{c}.{s}=="), 401, "TOKEN_INV"),
    "four sections": (lambda f: f.token() + ".x", 401, "TOKEN_INVALID"),
    "two sections": (
        lambda f: f.tampered(lambda h, c, s: f"{h}.{c}"),
        401,
        "TOKEN_INVALID",
    ),
    "alg none": (lambda f: f.unsigned("none"), 401, "TOKEN_INVALID"),
    "alg NONE": (lambda f: f.unsigned("NONE"), 401, "TOKEN_INVALID"),
    "alg es256": (lambda f: f.headed(alg="es256"), 401, "TOKEN_INVALID"),
    "alg ES384": (lambda f: f.headed(alg="ES384"), 401, "TOKEN_INVALID"),
    "HMAC with the public key": (
        lambda f: f.hmac(f.issuer.key.as_pem(private=False)),
        401,
        "TOKEN_INVALID",
    ),
    "HMAC with the key set": (lambda f: f.hmac(f.issuer.jwks_json.encode()), 401, "TOKEN_INVALID"),
    "HMAC with nothing": (lambda f: f.hmac(b""), 401, "TOKEN_INVALID"),
    "crit": (lambda f: f.headed(crit=["exp"]), 401, "TOKEN_INVALID"),
    "jwk": (lambda f: f.headed(jwk=OctKey.generate_key().as_dict()), 401, "TOKEN_INVALID"),
    "jku": (lambda f: f.headed(jku="https://evil.example/keys"), 401, "TOKEN_INVALID"),
    "x5u": (lambda f: f.headed(x5u="https://evil.example/cert"), 401, "TOKEN_INVALID"),
    "no tenant": (lambda f: f.token(tenant=UNSET), 403, "TOKEN_SCOPE"),
    "tenant is null": (lambda f: f.token(tenant=None), 403, "TOKEN_SCOPE"),
    "tenant is a list": (lambda f: f.token(tenant=["acme"]), 403, "TOKEN_SCOPE"),
    "another tenant": (lambda f: f.token(tenant="other"), 403, "TOKEN_SCOPE"),
    "another event": (lambda f: f.token(event="ev2"), 403, "TOKEN_SCOPE"),
    "no event": (lambda f: f.token(event=UNSET), 403, "TOKEN_SCOPE"),
    "tenant and event joined": (lambda f: f.token(tenant="acme/ev1", event=""), 403, "TOKEN_SCOPE"),
    "no sid": (lambda f: f.token(sid=UNSET), 403, "TOKEN_SESSION"),
    "sid of 41 characters": (lambda f: f.token(sid="a" * 41), 403, "TOKEN_SESSION"),
    "sid with a slash": (lambda f: f.token(sid="a/b"), 403, "TOKEN_SESSION"),
    "8 KB of token": (lambda f: f.token(pad="x" * 6000), 401, "TOKEN_TOO_LONG"),
    "payload is no JSON": (lambda f: f.raw(b"hello"), 401, "TOKEN_INVALID"),
    "exp twice": (
        lambda f: f.raw(json.dumps(f.claims()).replace('"exp"', '"exp": 1, "exp"').encode()),
        401,
        "TOKEN_INVALID",
    ),
    "exp nested": (
        lambda f: f.raw(json.dumps({"x": f.claims(), "iss": "odeon"}).encode()),
        401,
        "TOKEN_INVALID",
    ),
}
PATHS = {
    "other tenant": ("/t/{t}/other/ev1/" + FILE, 403),
    "other event": ("/t/{t}/acme/ev2/" + FILE, 403),
    "no token": ("/t//acme/ev1/" + FILE, 401),
    "no prefix": ("/acme/ev1/" + FILE, 401),
    "dots": ("/t/{t}/acme/ev1/../ev2/" + FILE, 400),
    "dots to itself": ("/t/{t}/acme/../acme/ev1/" + FILE, 400),
    "encoded dots": ("/t/{t}/acme/ev1/%2e%2e/ev2/" + FILE, 400),
    "encoded dots and slash": ("/t/{t}/acme/ev1/%2e%2e%2fev2%2f" + FILE, 400),
    "two slashes": ("/t/{t}/acme//ev1/" + FILE, 400),
    "two slashes in front": ("//t/{t}/acme/ev1/" + FILE, 401),
    "trailing dots": ("/t/{t}/acme/ev1/..", 400),
    "backslash": ("/t/{t}/acme/ev1/..\\main.m3u8", 400),
    "encoded letter": ("/t/{t}/%61cme/ev1/" + FILE, 400),
    "encoded NUL": ("/t/{t}/acme/ev1/v720/index.m3u8%00.mp4", 400),
    "hidden file": ("/t/{t}/acme/ev1/.m3u8", 400),
    "track in capitals": ("/t/{t}/acme/ev1/V720/index.m3u8", 400),
    "leading zero": ("/t/{t}/acme/ev1/v720/p0.00.m4s", 400),
    "no file": ("/t/{t}/acme/ev1/", 400),
    "ingest": ("/t/{t}/acme/ev1/../../ingest/acme/ev1", 400),
}


@pytest.fixture(autouse=True)
def one_part(origin: Origin) -> None:
    origin.objects[f"/acme/ev1/{FILE}"] = Reply(200, b"part")


@pytest.fixture
def forge(issuer: Issuer) -> Forge:
    return Forge(issuer)


async def test_a_good_token_passes_so_that_the_refusals_below_mean_something(
    edge: Edge, forge: Forge
) -> None:
    good = {
        "plain": forge.token(),
        "audience list": forge.token(aud=["odeon:playback"]),
        "far expiry": forge.token(exp=10**12),
        "large payload": forge.token(pad="x" * 1000),
        "escaped claim": forge.raw(
            json.dumps(forge.claims()).replace("ev1", "\\u0065v1").encode(), typ="JWT"
        ),
    }
    for name, token in good.items():
        answer = await edge.ask(f"/t/{token}/acme/ev1/{FILE}")
        assert (answer.status, answer.body) == (200, b"part"), name


@pytest.mark.parametrize("name", TOKENS)
async def test_a_made_up_token_is_refused(
    edge: Edge, forge: Forge, origin: Origin, name: str
) -> None:
    make, status, reason = TOKENS[name]

    answer = await edge.ask(f"/t/{make(forge)}/acme/ev1/{FILE}")

    assert answer.status == status
    assert json.loads(answer.body)["reason"].startswith(reason)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert origin.asked == []


@pytest.mark.parametrize("name", PATHS)
async def test_a_made_up_path_is_refused_with_the_best_of_tokens(
    edge: Edge, forge: Forge, origin: Origin, name: str
) -> None:
    path, status = PATHS[name]

    answer = await edge.ask(path.replace("{t}", forge.token()))

    assert answer.status == status
    assert origin.asked == []


async def test_a_fragment_or_a_query_changes_nothing(
    edge: Edge, forge: Forge, origin: Origin
) -> None:
    for tail in ("#/x", "?a=/../x", "?%00"):
        answer = await edge.ask(f"/t/{forge.token()}/acme/ev1/{FILE}{tail}")
        assert answer.status in (200, 400), tail

    assert {asked.target for asked in origin.asked} == {f"/acme/ev1/{FILE}"}


async def test_an_absolute_url_is_served_like_its_path(edge: Edge, forge: Forge) -> None:
    answer = await edge.ask(f"http://x/t/{forge.token()}/acme/ev1/{FILE}")

    assert answer.status == 200


async def test_a_token_of_20_kilobytes_does_not_even_reach_the_check(
    edge: Edge, forge: Forge
) -> None:
    try:
        answer = await edge.ask(f"/t/{forge.token(pad='x' * 15_000)}/acme/ev1/{FILE}")
    except wire.WireError:
        return
    assert answer.status in (400, 401, 414, 431)


async def test_four_hundred_good_signatures_all_pass(edge: Edge, forge: Forge) -> None:
    # One in 128 has a leading zero in r or s; that is where encoders and checkers disagree.
    reader, writer = await wire.connect(edge.url)
    statuses = set()
    for number in range(400):
        path = f"/t/{forge.token(sid=f's{number}')}/acme/ev1/{FILE}"
        writer.write(wire.request(path))
        statuses.add((await wire.read_answer(reader)).status)
    writer.close()

    assert statuses == {200}


async def test_expiry_is_checked_of_remembered_tokens_too(edge: Edge, forge: Forge) -> None:
    expires = int(time.time()) + 2
    path = f"/t/{forge.token(exp=expires)}/acme/ev1/{FILE}"
    assert (await edge.ask(path)).status == 200

    while time.time() < expires:
        await wire.ask(edge.admin, "/livez")

    assert (await edge.ask(path)).status == 401
