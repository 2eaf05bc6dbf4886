"""The table of who may do what, without anything around it."""

from uuid import UUID, uuid4

import pytest

from coordinator.errors import NotAllowed
from coordinator.permissions import TABLE, Action, Caller, Role, Scope, may, require, require_change

TEAM, THEIRS = uuid4(), uuid4()
IN_A_TEAM = [Role.VIEWER, Role.MEMBER, Role.OWNER]


def caller(role: Role, scope: Scope = Scope.ADMIN, *, is_operator: bool = False) -> Caller:
    return Caller(uuid4(), "somebody", TEAM, "studio", role, scope, is_operator)


def allowed(who: Caller, team_id: UUID | None = None) -> set[Action]:
    return {action for action in Action if may(who, action, team_id)}


def test_every_action_has_its_row() -> None:
    assert {*TABLE} == {*Action}


@pytest.mark.parametrize("scope", Scope)
def test_each_role_may_what_the_one_below_it_may(scope: Scope) -> None:
    viewer, member, owner = (allowed(caller(role, scope)) for role in IN_A_TEAM)
    assert viewer <= member <= owner


@pytest.mark.parametrize("role", IN_A_TEAM)
def test_each_scope_allows_what_the_one_before_it_does(role: Role) -> None:
    read, write, admin = (allowed(caller(role, scope)) for scope in Scope)
    assert read <= write <= admin
    assert read


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("role", IN_A_TEAM)
def test_in_another_team_only_an_operator_may_anything(role: Role, scope: Scope) -> None:
    assert allowed(caller(role, scope), THEIRS) == set()
    operators = allowed(caller(role, scope, is_operator=True), THEIRS)
    assert Action.READ in operators
    assert Action.SUBMIT not in operators


def test_an_operators_token_is_bound_to_its_scope_too() -> None:
    assert not may(caller(Role.OWNER, Scope.READ, is_operator=True), Action.CHANGE_OTHERS, THEIRS)


def test_a_refusal_names_the_role_or_the_scope() -> None:
    with pytest.raises(NotAllowed, match=r"^Your role in team 'studio' is viewer, which may not submit jobs"):
        require(caller(Role.VIEWER), Action.SUBMIT)
    with pytest.raises(NotAllowed, match=r"^This token's scope is 'read'. To submit jobs .*, 'write' is needed.$"):
        require(caller(Role.MEMBER, Scope.READ), Action.SUBMIT)


def test_what_one_has_made_is_ones_own_to_change() -> None:
    member = caller(Role.MEMBER)
    require_change(member, member.user_id, TEAM)
    with pytest.raises(NotAllowed, match="change jobs and builds of others"):
        require_change(member, uuid4(), TEAM)
    require_change(caller(Role.OWNER), uuid4(), TEAM)


def test_only_an_admin_token_for_ones_own_team_reaches_further() -> None:
    keys = [Caller(uuid4(), "somebody", TEAM, "studio", Role.OWNER, scope, is_personal=is_personal).is_the_users_key
            for scope in Scope for is_personal in (True, False)]  # fmt: skip
    assert keys == [False, False, False, False, True, False]
