"""Roles: what each may do, and which roles it may hand on.

A role is held in two ways: tenant-wide (by an API key) or bound to one event (by a token that a
link was traded for). The second is the smaller set: nothing that touches more than its event.
"""

from enum import StrEnum

from odeon_runtime.errors import InvalidArgument

EVERYTHING = "*"
"""Everything within the tenant; never the deployment's own business."""


class Role(StrEnum):
    """Who somebody is."""

    OPERATOR = "operator"
    """Runs the deployment; owner of its own tenant besides."""
    OWNER = "owner"
    HOST = "host"
    ASSISTANT = "assistant"
    MODERATOR = "moderator"
    GUEST = "guest"
    VIEWER = "viewer"
    PUBLISHER = "publisher"
    """An encoder: sends media in, may do nothing else."""
    RECORDER = "recorder"
    """The transcoder's hidden seat on the stage."""
    PROBER = "prober"
    """The synthetic participant that checks nodes."""

    @classmethod
    def parse(cls, text: str) -> "Role":
        """The role of this name; raises InvalidArgument."""
        try:
            return cls(text)
        except ValueError:
            raise InvalidArgument(field="role", problem="no such role") from None


DEPLOYMENT_WIDE = frozenset({"tenants.create", "signing-keys.rotate"})
"""Permissions that "*" does not stand for: they reach beyond a tenant."""

# Everybody may trade what they hold for another token of the same visit, through room alone:
# see tokens.terms.
_WATCHES = frozenset({"events.get", "events.enter", "beacons.send", "tokens.issue"})
_ON_STAGE = _WATCHES | {"participants.list"}
_MODERATES = _ON_STAGE | {
    "participants.mute",
    "participants.remove",
    "participants.admit",
    "sessions.revoke",
}
_ASSISTS = _MODERATES | {"events.direct", "events.update", "recordings.get", "analytics.get"}
_HOSTS = _ASSISTS | {"events.run"}

_BOUND: dict[Role, frozenset[str]] = {
    Role.HOST: _HOSTS,
    Role.ASSISTANT: _ASSISTS,
    Role.MODERATOR: _MODERATES,
    Role.GUEST: _ON_STAGE,
    Role.VIEWER: _WATCHES,
    Role.PUBLISHER: frozenset(),
    Role.RECORDER: frozenset(),
    Role.PROBER: frozenset(),
}

_READS_TENANT = frozenset({"tenants.get", "rooms.get", "rooms.list", "events.list"})
_TENANT_WIDE: dict[Role, frozenset[str]] = {
    Role.OPERATOR: DEPLOYMENT_WIDE | {EVERYTHING},
    Role.OWNER: frozenset({EVERYTHING}),
    Role.HOST: _HOSTS
    | _READS_TENANT
    | {
        "rooms.create",
        "rooms.delete",
        "events.create",
        "recordings.list",
        "recordings.delete",
        "jobs.list",
    },
    Role.MODERATOR: _MODERATES | _READS_TENANT,
    Role.VIEWER: _WATCHES | _READS_TENANT | {"recordings.get", "recordings.list"},
}

_PARTICIPANTS = frozenset({Role.HOST, Role.ASSISTANT, Role.MODERATOR, Role.GUEST, Role.VIEWER})
_GRANTS: dict[Role, frozenset[Role]] = {
    Role.OPERATOR: _PARTICIPANTS | {Role.PUBLISHER},
    Role.OWNER: _PARTICIPANTS | {Role.PUBLISHER},
    Role.HOST: _PARTICIPANTS | {Role.PUBLISHER},
    Role.ASSISTANT: frozenset({Role.ASSISTANT, Role.GUEST, Role.VIEWER}),
    Role.MODERATOR: frozenset({Role.MODERATOR, Role.VIEWER}),
    Role.GUEST: frozenset({Role.GUEST, Role.VIEWER}),
    Role.VIEWER: frozenset({Role.VIEWER}),
}

KEY_ROLES = frozenset(_TENANT_WIDE)
"""Roles that an API key may have."""


def tenant_wide(role: Role) -> frozenset[str]:
    """What the holder of an API key with this role may do; nothing for other roles."""
    return _TENANT_WIDE.get(role, frozenset())


def within_event(role: Role) -> frozenset[str]:
    """What somebody with this role may do, in one event."""
    return _BOUND.get(role, frozenset())


def may_grant(granter: Role, role: Role) -> bool:
    """Whether `granter` may issue a token that says `role`."""
    return role in _GRANTS.get(granter, frozenset())


def may_create_key(creator: Role, role: Role) -> bool:
    """Whether `creator` may make an API key with `role`: nobody makes a mightier one."""
    if role not in KEY_ROLES:
        return False
    return creator is Role.OPERATOR or (creator is Role.OWNER and role is not Role.OPERATOR)
