import pytest
from odeon_auth.domain import roles
from odeon_auth.domain.roles import Role


def test_nobody_may_grant_a_role_that_may_do_what_the_granter_may_not() -> None:
    bound = {role: roles.within_event(role) for role in Role}

    for granter in (Role.HOST, Role.ASSISTANT, Role.MODERATOR, Role.GUEST, Role.VIEWER):
        for role in Role:
            if roles.may_grant(granter, role):
                assert bound[role] <= bound[granter], f"{granter} grants {role}"


@pytest.mark.parametrize("role", [Role.RECORDER, Role.PROBER, Role.OWNER, Role.OPERATOR])
def test_hidden_and_tenant_wide_roles_are_granted_by_nobody(role: Role) -> None:
    assert [granter for granter in Role if roles.may_grant(granter, role)] == []


def test_everything_within_a_tenant_does_not_name_the_deployments_own_business() -> None:
    assert roles.tenant_wide(Role.OWNER) == {roles.EVERYTHING}
    assert roles.tenant_wide(Role.OPERATOR) > roles.DEPLOYMENT_WIDE


def test_a_role_bound_to_an_event_touches_nothing_beyond_it() -> None:
    beyond = {"events.create", "events.list", "rooms.create", "keys.create", "jobs.list"}

    for role in Role:
        assert not roles.within_event(role) & beyond


def test_an_owner_makes_keys_of_its_own_rank_at_most_and_a_host_none() -> None:
    assert roles.may_create_key(Role.OWNER, Role.OWNER)
    assert not roles.may_create_key(Role.OWNER, Role.OPERATOR)
    assert not any(roles.may_create_key(Role.HOST, role) for role in Role)
    assert not roles.may_create_key(Role.OPERATOR, Role.RECORDER)
