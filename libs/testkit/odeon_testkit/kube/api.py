"""A client of a Kubernetes API server, as thin as tests want it: what is sent is what is seen."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

Object = dict[str, Any]
"""A resource as JSON has it."""
_REQUEST_S = 30.0
_MANAGER = "odeon-test"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"


class _Loader(yaml.CSafeLoader):
    """Leaves times as they are written, as Kubernetes' own reader does.

    The parser in C is ten times faster, and a chart's render is long.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def documents(text: str) -> list[Object]:
    """The objects of a YAML file."""
    return [d for d in yaml.load_all(text, Loader=_Loader) if d is not None]


class Refused(Exception):
    """The API server said no.

    Attributes:
        code: of HTTP, e.g. 422.
        reason: a word for programs, e.g. "Invalid".
        message: a sentence for people; what a user of kubectl reads.
        causes: the fields at fault with what is wrong with each.
    """

    def __init__(self, status: Mapping[str, Any]) -> None:
        self.code = int(status.get("code", 0))
        self.reason = str(status.get("reason", ""))
        self.message = str(status.get("message", ""))
        causes = (status.get("details") or {}).get("causes") or []
        self.causes = {str(c.get("field")): str(c.get("message")) for c in causes}
        super().__init__(f"{self.code} {self.reason}: {self.message}")


class KubeApi:
    """One user's connection. Objects are found by their own `apiVersion`, `kind` and `metadata`."""

    def __init__(self, url: str, token: str, ca_file: Path) -> None:
        self._client = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            verify=ssl.create_default_context(cafile=str(ca_file)),
            timeout=_REQUEST_S,
            trust_env=False,
        )
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    @property
    def ready(self) -> bool:
        """Whether the server serves everything that it should."""
        try:
            return self._client.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        params: Mapping[str, str] | None = None,
    ) -> Object:
        """One request.

        Raises:
            Refused: the server answered with an error.
        """
        content = None if body is None else httpx.Response(200, json=body).content
        response = self._client.request(
            method, path, content=content, headers={"Content-Type": content_type}, params=params
        )
        if response.is_error:
            raise Refused(_status(response))
        answer: Object = response.json()
        return answer

    def get(self, path: str) -> Object:
        """What is there."""
        return self.request("GET", path)

    def text(self, path: str) -> str:
        """What is there that is no object, e.g. the log of a pod.

        Raises:
            Refused: the server answered with an error.
        """
        response = self._client.get(path)
        if response.is_error:
            raise Refused(_status(response))
        return response.text

    def exists(self, path: str) -> bool:
        """Whether something is there."""
        try:
            self.get(path)
        except Refused as refused:
            if refused.code != 404:
                raise
            return False
        return True

    def create(self, what: Mapping[str, Any], *, validation: str = "Strict") -> Object:
        """Create an object; unknown fields are refused unless `validation` says otherwise."""
        path = self.path_of(what).rsplit("/", 1)[0]
        return self.request("POST", path, body=what, params={"fieldValidation": validation})

    def apply(
        self, what: Mapping[str, Any], *, subresource: str = "", dry_run: bool = False
    ) -> Object:
        """Create or change an object by server-side apply; unknown fields are refused."""
        params = {"fieldManager": _MANAGER, "force": "true", "fieldValidation": "Strict"}
        if dry_run:
            params["dryRun"] = "All"
        path = self.path_of(what) + subresource
        return self.request("PATCH", path, body=what, content_type=_APPLY, params=params)

    def patch(self, what: Mapping[str, Any], change: object, *, subresource: str = "") -> Object:
        """Merge a change into an object; None deletes a field."""
        path = self.path_of(what) + subresource
        body: Any = change
        return self.request("PATCH", path, body=body, content_type=_MERGE)

    def delete(self, what: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Delete an object; what it owns is collected later."""
        params = {"dryRun": "All"} if dry_run else None
        return self.request("DELETE", self.path_of(what), params=params)

    def table(self, path: str) -> list[Object]:
        """What kubectl prints of an object or a list, without `-o wide`: a dict a row."""
        accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        found = self._client.get(path, headers=accept).raise_for_status().json()
        columns = [
            (i, c["name"]) for i, c in enumerate(found["columnDefinitions"]) if not c["priority"]
        ]
        return [{name: row["cells"][i] for i, name in columns} for row in found["rows"]]

    def apply_file(self, file: Path) -> list[Object]:
        """Apply every document of a YAML file; returns them as the server has them."""
        return [self.apply(document) for document in documents(file.read_text())]

    def path_of(self, what: Mapping[str, Any]) -> str:
        """Where an object is; one of a namespaced kind without a namespace is in `default`."""
        version, kind = what["apiVersion"], what["kind"]
        plural, namespaced = self._plural(version, kind)
        metadata = what["metadata"]
        within = f"/namespaces/{metadata.get('namespace', 'default')}" if namespaced else ""
        return f"{_root(version)}{within}/{plural}/{metadata['name']}"

    def _plural(self, version: str, kind: str) -> tuple[str, bool]:
        if (version, kind) not in self._plurals:
            for found in self.get(_root(version))["resources"]:
                if "/" not in found["name"]:
                    key = (version, found["kind"])
                    self._plurals[key] = (found["name"], found["namespaced"])
        return self._plurals[version, kind]


def _status(response: httpx.Response) -> Object:
    """Why something was refused. A path that no API serves is answered without a Status."""
    if response.headers.get("Content-Type", "").startswith("application/json"):
        found: Object = response.json()
        return found
    return {"code": response.status_code, "message": response.text}


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"
