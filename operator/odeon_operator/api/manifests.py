"""YAML files of custom resources: read strictly, every fault with the name of its field."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from odeon_runtime.errors import InvalidArgument
from pydantic import ValidationError

from odeon_operator.api import convert, shapes
from odeon_operator.domain.bookings import Booking
from odeon_operator.domain.policy import Policy, Pool

API_VERSION = "odeon.live/v1alpha1"
_SPECS: dict[str, type[shapes.Shape]] = {
    "ScalingPolicy": shapes.ScalingPolicySpec,
    "TranscoderPool": shapes.TranscoderPoolSpec,
    "EdgePool": shapes.EdgePoolSpec,
    "LiveEvent": shapes.LiveEventSpec,
}


@dataclass(frozen=True, slots=True)
class Scaling:
    """One pool with the policy that scales it, and the events booked on it."""

    pool: Pool
    policy: Policy
    bookings: tuple[Booking, ...]


class _Loader(yaml.SafeLoader):
    """Refuses a key that is written twice; YAML's reader would keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Read a mapping."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} is written twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def read(text: str) -> Scaling:
    """Read one ScalingPolicy, one pool and any number of LiveEvents.

    Raises:
        InvalidArgument: the text is no YAML, a field is wrong, or a resource is missing.
    """
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise InvalidArgument(field="(file)", problem=" ".join(str(error).split())) from None
    found: dict[str, list[tuple[str, Any]]] = {kind: [] for kind in _SPECS}
    for number, document in enumerate(d for d in documents if d is not None):
        kind, name, spec = _resource(document, number)
        found[kind].append((name, spec))
    return _assembled(found)


def _resource(document: object, number: int) -> tuple[str, str, Any]:
    where = f"(document {number + 1})"
    if not isinstance(document, Mapping):
        raise InvalidArgument(field=where, problem="is no resource")
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in _SPECS:
        known = ", ".join(_SPECS)
        raise InvalidArgument(field=f"{where} kind", problem=f"{kind!r} is none of {known}")
    if document.get("apiVersion") != API_VERSION:
        raise InvalidArgument(field=f"{where} apiVersion", problem=f"is not {API_VERSION}")
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not isinstance(name, str) or not name:
        raise InvalidArgument(field=f"{where} metadata.name", problem="is missing")
    unknown = document.keys() - {"apiVersion", "kind", "metadata", "spec", "status"}
    if unknown:
        raise InvalidArgument(field=f"{kind}/{name} {min(unknown)}", problem="is not known")
    try:
        return kind, name, _SPECS[kind].model_validate(document.get("spec", {}))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = f"{kind}/{name} spec{_path(first['loc'])}"
        problem = first["msg"].removeprefix("Value error, ")
        raise InvalidArgument(field=field, problem=problem) from None


def _assembled(found: Mapping[str, list[tuple[str, Any]]]) -> Scaling:
    pools = found["TranscoderPool"] + found["EdgePool"]
    for kinds, some in (("ScalingPolicy", found["ScalingPolicy"]), ("pool", pools)):
        if len(some) != 1:
            raise InvalidArgument(
                field="(file)", problem=f"has {len(some)} of kind {kinds}; exactly one is needed"
            )
    (policy_name, policy_spec), (pool_name, pool_spec) = found["ScalingPolicy"][0], pools[0]
    if pool_spec.policy_ref is not None and pool_spec.policy_ref.name != policy_name:
        raise InvalidArgument(
            field=f"{pool_name} spec.policyRef.name", problem=f"is not {policy_name}"
        )
    costs = {p.name: p.cost for p in getattr(pool_spec, "profiles", [])}
    return Scaling(
        convert.pool(pool_name, pool_spec, policy_spec.metric),
        convert.policy(policy_name, policy_spec),
        tuple(convert.booking(name, spec, costs) for name, spec in found["LiveEvent"]),
    )


def _path(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
