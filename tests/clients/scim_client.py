"""A SCIM client library against the real server: each check that passed is named. Usage: BASE KEY."""

import sys

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_models import Group, PatchOp, PatchOperation, SearchRequest, User


def client(base, key):
    headers = {"Authorization": f"Bearer {key}"}
    connection = httpx2.Client(base_url=f"{base}/api/scim/v2", headers=headers, trust_env=False)
    # The API returns 200 to POST and DELETE; the library expects 201 and 204.
    return SyncSCIMClient(connection, check_response_status_codes=False)


def discovery(scim):
    scim.discover()
    assert {schema.name for schema in scim.provider.schemas} >= {"User", "Group"}


def users(scim):
    made = scim.create(User(user_name="ada", emails=[User.Emails(value="ada@example.com", primary=True)]))
    assert scim.query(User, made.id).user_name == "ada"
    made.display_name = "Ada"
    assert scim.replace(made).display_name == "Ada"
    found = scim.query(User, query_parameters=SearchRequest(filter='userName eq "ada"'))
    assert found.total_results == 1 and found.resources[0].id == made.id
    return made


def patches(scim, user):
    operation = PatchOperation(op=PatchOperation.Op.replace_, path="active", value=False)
    assert scim.modify(User, user.id, PatchOp[User](operations=[operation])).active is False


def groups(scim, user):
    made = scim.create(Group(display_name="Crew", members=[Group.Members(value=user.id)]))
    assert [member.value for member in scim.query(Group, made.id).members] == [user.id]
    scim.delete(Group, made.id)
    scim.delete(User, user.id)


def main():
    scim = client(sys.argv[1], sys.argv[2])
    discovery(scim)
    print("discovery")
    user = users(scim)
    print("users")
    patches(scim, user)
    print("patches")
    groups(scim, user)
    print("groups")


if __name__ == "__main__":
    main()
