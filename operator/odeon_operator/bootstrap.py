"""`python -m odeon_operator.bootstrap` makes the secrets of a deployment that are missing.

What is there stays, whatever made it, so it may run at each upgrade. The Secret belongs to nothing
that an uninstall deletes, unless an owner is named: databases that were kept are worth nothing
without the passwords and keys that they were made with.
"""

import argparse
import asyncio
import base64
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from odeon_operator.adapters.kube.client import KubeClient, Object
from odeon_operator.ports import Outdated, Refused, Unreachable

_TRIES = 60
_PAUSE_S = 2.0
"""Two minutes: an API server that is being upgraded comes back within that."""


def _word() -> str:
    # A letter first: the configuration of NATS takes other words for numbers. No character that
    # an URL, a shell or SQL would read as anything else.
    return f"s{secrets.token_hex(24)}"


def _api_key() -> str:
    return f"odk_{secrets.token_hex(6)}_{secrets.token_hex(24)}"


MAKERS: dict[str, Callable[[], str]] = {
    "service-secret": _word,
    "key-encryption-key": _word,
    "api-key": _api_key,
    "edge-admin-token": _word,
    "nats-password": _word,
    "postgresql-password": _word,
}
"""What each secret is made by, 192 random bits in all of them."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What there should be.

    Attributes:
        namespace, name: of the Secret.
        keys: that it should have.
        labels: of a Secret that is made.
        owner: name of the ConfigMap with which the Secret is to be deleted; empty keeps it.
    """

    namespace: str
    name: str
    keys: tuple[str, ...]
    labels: dict[str, str]
    owner: str = ""

    @property
    def folder(self) -> str:
        """Where the namespace's Secrets are."""
        return f"/api/v1/namespaces/{self.namespace}/secrets"


async def make(client: KubeClient, wish: Wish) -> list[str]:
    """Make what is missing; returns the keys that were made.

    Raises:
        Outdated: somebody else changed the Secret at the same moment; try again.
        Refused: the API server will not have it.
        Unreachable: it does not answer.
    """
    owners = await _owners(client, wish)
    try:
        found = await client.get(f"{wish.folder}/{wish.name}")
    except Outdated:
        await client.post(wish.folder, _secret(wish, owners))
        return list(wish.keys)
    missing = [key for key in wish.keys if not (found.get("data") or {}).get(key)]
    metadata = found["metadata"]
    if missing or metadata.get("ownerReferences", []) != owners:
        version = {"resourceVersion": metadata["resourceVersion"], "ownerReferences": owners}
        change = {"metadata": version, "data": _made(missing)}
        await client.merge(f"{wish.folder}/{wish.name}", change)
    return missing


async def _owners(client: KubeClient, wish: Wish) -> list[Object]:
    if not wish.owner:
        return []
    path = f"/api/v1/namespaces/{wish.namespace}/configmaps/{wish.owner}"
    uid = (await client.get(path))["metadata"]["uid"]
    return [{"apiVersion": "v1", "kind": "ConfigMap", "name": wish.owner, "uid": uid}]


def _secret(wish: Wish, owners: list[Object]) -> Object:
    metadata = {"name": wish.name, "labels": wish.labels, "ownerReferences": owners}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": _made(wish.keys),
    }


def _made(keys: Sequence[str]) -> dict[str, str]:
    return {key: base64.b64encode(MAKERS[key]().encode()).decode() for key in keys}


async def insist(wish: Wish) -> list[str]:
    """Make what is missing, however long the API server takes (two minutes at most).

    Raises:
        Outdated, Unreachable: it took longer.
        Refused: the API server will not have it.
    """
    async with KubeClient() as client:
        for last in (n == _TRIES for n in range(1, _TRIES + 1)):
            try:
                return await make(client, wish)
            except (Outdated, Unreachable) as error:
                if last:
                    raise
                print(f"again in {_PAUSE_S:.0f} s: {error}", file=sys.stderr)
                await asyncio.sleep(_PAUSE_S)
    raise AssertionError("unreachable")


def wish_of(arguments: Sequence[str]) -> Wish:
    """What a command line asks for; leaves with its help where it cannot be understood."""
    parser = argparse.ArgumentParser(prog="odeon_operator.bootstrap", description=__doc__)
    parser.add_argument("--namespace", default=os.environ.get("POD_NAMESPACE", "default"))
    parser.add_argument("--secret", required=True, help="name of the Secret")
    parser.add_argument(
        "--key", dest="keys", action="append", default=[], choices=MAKERS, metavar="KEY"
    )
    parser.add_argument("--label", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--owner", default="", help="ConfigMap that it is deleted with")
    found = parser.parse_args(arguments)
    labels = dict(label.split("=", 1) for label in found.label)
    keys = tuple(dict.fromkeys(found.keys))
    return Wish(found.namespace, found.secret, keys, labels, found.owner)


def main() -> None:
    """Run once."""
    wish = wish_of(sys.argv[1:])
    try:
        made = asyncio.run(insist(wish))
    except (Outdated, Refused, Unreachable) as error:
        sys.exit(f"the Secret {wish.name} could not be made: {error}")
    # Names only: what is in them is nobody's who reads logs.
    print(f"Secret {wish.name}: made {', '.join(made) or 'nothing, all was there'}")


if __name__ == "__main__":
    main()
