"""Users, roles and privileges: managed with and without authorisation, enforced with it."""

import asyncio
import base64

import grpc
import pytest
from conftest import Server
from pymilvus import AsyncMilvusClient, MilvusClient, MilvusException, Role, connections, utility

ROOT = "root:Milvus"
AUTH = {"ELANUS_AUTH_ENABLED": "true", "ELANUS_AUTH_MAX_ROLES": "50"}
WORDS = "please check username and password are correct"
HIDDEN = "illegal connection params or server unavailable"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server that asks everybody who he is."""
    folder = tmp_path_factory.mktemp("guarded")
    server = Server(folder / "data", folder / "log", AUTH, token=ROOT).start()
    yield server
    assert server.stop() == 0, server.tail()
    assert not server.panics(), server.panics()


@pytest.fixture
def root(guarded):
    return guarded.client()


def refused(call, words):
    with pytest.raises((MilvusException, grpc.RpcError)) as error:
        call()
    assert words in str(error.value), str(error.value)
    return error.value


def make_user(root, name, *roles):
    root.create_user(name, "secret-" + name)
    for role in roles:
        root.grant_role(name, role)


def login(guarded, name):
    return guarded.client(token=f"{name}:secret-{name}")


def fill(client, name, n=3):
    client.create_collection(name, dimension=4)
    client.insert(name, [{"id": i, "vector": [float(i)] * 4} for i in range(n)])


# ── who is calling ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("token, words", [
    ("root:wrong", WORDS),
    ("nobody:Milvus", WORDS),
    ("", "missing authorization in header"),
    ("a-key", "auth check failure"),
])
def test_a_wrong_login_is_refused_at_once(guarded, token, words):
    # A client hides the server's words where a new connection is refused.
    error = refused(lambda: guarded.client(token=token, timeout=5).list_collections(), "")
    assert words in str(error) or HIDDEN in str(error), str(error)
    channel = grpc.insecure_channel(f"127.0.0.1:{guarded.port}")
    version = channel.unary_unary(
        "/milvus.proto.milvus.MilvusService/GetVersion", lambda b: b, lambda b: b
    )
    metadata = [("authorization", base64.b64encode(token.encode()).decode())] if token else []
    with pytest.raises(grpc.RpcError) as raw:
        version(b"", metadata=metadata)
    assert raw.value.code() == grpc.StatusCode.UNAUTHENTICATED and words in raw.value.details()
    channel.close()


def test_a_password_changes_for_good(guarded, root):
    make_user(root, "changer")
    own = login(guarded, "changer")
    refused(lambda: own.update_password("changer", "no", "another1"),
            "old password not correct for changer: not authenticated")
    refused(lambda: own.update_password("changer", "secret-changer", "short"), "invalid password")
    own.update_password("changer", "secret-changer", "another1")
    refused(lambda: login(guarded, "changer").list_collections(), WORDS)
    guarded.client(token="changer:another1").list_collections()
    root.drop_user("changer")
    refused(lambda: guarded.client(token="changer:another1").list_collections(), WORDS)


def test_users_are_made_listed_and_dropped(root):
    refused(lambda: root.create_user("root", "123456"), "user already exists: root")
    refused(lambda: root.create_user("1a", "123456"), "the first character must be a letter")
    refused(lambda: root.create_user("short", "12345"), "invalid password length")
    words = {"description": "words"} if has_words() else {}
    root.create_user("plain", "123456", **words)
    assert {"root", "plain"} <= set(root.list_users())
    told = root.describe_user("plain")
    assert told["user_name"] == "plain" and list(told["roles"]) == []
    if has_words():
        assert told["description"] == "words"
    root.drop_user("plain")
    root.drop_user("plain")
    assert root.describe_user("plain") == {}
    refused(lambda: root.drop_user("root"), "root user cannot be deleted")


def has_words():
    """Whether this client knows descriptions of users."""
    return hasattr(MilvusClient, "update_user")


# ── what he may do ──────────────────────────────────────────────────────────────────────────────


def test_a_role_allows_what_it_names_and_no_more(guarded, root, name):
    fill(root, name)
    other = name + "_other"
    fill(root, other)
    root.create_role("reader")
    for privilege in ["Search", "Query"]:
        root.grant_privilege("reader", "Collection", privilege, name)
    make_user(root, "ann", "reader")
    ann = login(guarded, "ann")
    assert len(ann.query(name, filter="id >= 0", consistency_level="Strong")) == 3
    assert len(ann.search(name, [[1.0] * 4], limit=2)[0]) == 2
    refused(lambda: ann.insert(name, [{"id": 9, "vector": [0.0] * 4}]),
            "PrivilegeInsert: permission deny to ann in the `default` database")
    refused(lambda: ann.query(other, filter="id >= 0"), "PrivilegeQuery: permission deny to ann")
    refused(lambda: ann.drop_collection(name), "PrivilegeDropCollection: permission deny")
    refused(lambda: ann.create_user("x1", "123456"), "PrivilegeCreateOwnership: permission deny")
    assert ann.list_collections() == [name]
    root.revoke_privilege("reader", "Collection", "Query", name)
    refused(lambda: ann.query(name, filter="id >= 0"), "permission deny")
    root.revoke_role("ann", "reader")
    refused(lambda: ann.search(name, [[1.0] * 4], limit=2), "permission deny")


def test_an_alias_is_as_allowed_as_its_collection(guarded, root, name):
    fill(root, name)
    root.create_alias(name, name + "_alias")
    root.create_role("aliased")
    root.grant_privilege("aliased", "Collection", "Query", name + "_alias")
    make_user(root, "al", "aliased")
    al = login(guarded, "al")
    assert len(al.query(name + "_alias", filter="id >= 0", consistency_level="Strong")) == 3
    assert len(al.query(name, filter="id >= 0", consistency_level="Strong")) == 3


def test_the_newer_form_grants_groups_by_database(guarded, root, name):
    root.create_database("shop")
    there = guarded.client(db_name="shop")
    fill(there, name)
    fill(root, name)
    root.create_role("seller")
    root.grant_privilege_v2("seller", "CollectionReadWrite", "*", db_name="shop")
    make_user(root, "bob", "seller")
    bob = guarded.client(token="bob:secret-bob", db_name="shop")
    bob.insert(name, [{"id": 7, "vector": [0.5] * 4}])
    assert bob.list_collections() == [name]
    assert bob.list_databases() == ["shop"]
    refused(lambda: login(guarded, "bob").insert(name, [{"id": 7, "vector": [0.5] * 4}]),
            "in the `default` database")
    refused(lambda: bob.create_collection("own", dimension=4), "PrivilegeCreateCollection")
    root.grant_privilege_v2("seller", "DatabaseAdmin", "*", db_name="shop")
    bob.create_collection("own", dimension=4)
    refused(lambda: bob.create_database("another"), "PrivilegeCreateDatabase: permission deny to bob in the `*`")
    for wrong, words in [
        (("seller", "ClusterAdmin", "*", "shop"), "should be * for the cluster level"),
        (("seller", "DatabaseAdmin", name, "shop"), "collectionName should be * for the database level"),
        (("seller", "CollectionAdmin", name, "*"), "please specify database name"),
        (("seller", "Nonsense", "*", "*"), "not found the privilege name[Nonsense]"),
        (("nobody", "Insert", "*", "*"), 'the role "nobody" does not exist'),
    ]:
        role, privilege, collection, database = wrong
        refused(lambda: root.grant_privilege_v2(role, privilege, collection, db_name=database), words)


def test_the_older_form_refuses_what_does_not_fit(root):
    root.create_role("odd")
    for kind, privilege, words in [
        ("Nothing", "Insert", "the object entity in the request is nil or invalid"),
        ("Global", "Insert", "not found the privilege name[Insert] in object[Global]"),
        ("Global", "ClusterAdmin", "can not operate the built-in privilege group [ClusterAdmin]"),
    ]:
        refused(lambda: root.grant_privilege("odd", kind, privilege, "*"), words)


def test_groups_of_privileges(guarded, root, name):
    fill(root, name)
    root.create_privilege_group("writers")
    root.add_privileges_to_group("writers", ["Insert", "Delete"])
    refused(lambda: root.create_privilege_group("writers"), "is defined by users")
    refused(lambda: root.add_privileges_to_group("writers", ["CreateDatabase"]),
            "privileges are not the same privilege level")
    groups = {g["privilege_group"]: set(g["privileges"]) for g in root.list_privilege_groups()}
    assert groups["writers"] == {"Insert", "Delete"}
    assert "RestoreRBAC" in groups["ClusterAdmin"] and "Search" in groups["CollectionReadOnly"]
    root.create_role("writing")
    root.grant_privilege_v2("writing", "writers", name, db_name="default")
    make_user(root, "will", "writing")
    will = login(guarded, "will")
    assert will.insert(name, [{"id": 8, "vector": [0.0] * 4}])["insert_count"] == 1
    refused(lambda: will.query(name, filter="id >= 0"), "PrivilegeQuery: permission deny")
    root.add_privileges_to_group("writers", ["Query"])
    assert will.query(name, filter="id == 8", consistency_level="Strong")
    refused(lambda: root.drop_privilege_group("writers"), "is used by role [writing]")
    root.revoke_privilege_v2("writing", "writers", name, db_name="default")
    root.drop_privilege_group("writers")


def test_roles_are_described_and_dropped(root, name):
    fill(root, name)
    refused(lambda: root.create_role("admin"), "already exists")
    refused(lambda: root.drop_role("public"), "is a default role, which can't be dropped")
    refused(lambda: root.drop_role("nobody"), "not found the role")
    root.create_role("told")
    root.grant_privilege("told", "Collection", "Load", name)
    told = root.describe_role("told")
    assert told["role"] == "told"
    names = {(p["object_type"], p["object_name"], p["privilege"], p["db_name"], p["grantor_name"])
             for p in told["privileges"]}
    related = ["Load", "GetLoadState", "GetLoadingProgress"]
    assert names == {("Collection", name, p, "default", "root") for p in related}
    refused(lambda: root.drop_role("told"), "fail to drop the role that it has privileges")
    root.drop_role("told", force_drop=True)
    assert {"admin", "public"} <= set(root.list_roles()) and "told" not in root.list_roles()


def test_admins_may_do_everything(guarded, root, name):
    make_user(root, "eve", "admin")
    eve = login(guarded, "eve")
    fill(eve, name)
    eve.create_user("made-by.eve", "123456")
    assert name in eve.list_collections()


def test_grants_go_with_a_collection_and_follow_its_new_name(guarded, root, name):
    fill(root, name)
    root.create_role("follower")
    root.grant_privilege("follower", "Collection", "Query", name)
    make_user(root, "fay", "follower")
    fay = login(guarded, "fay")
    root.rename_collection(name, name + "_new")
    assert len(fay.query(name + "_new", filter="id >= 0", consistency_level="Strong")) == 3
    root.drop_collection(name + "_new")
    fill(root, name + "_new")
    refused(lambda: fay.query(name + "_new", filter="id >= 0"), "permission deny")


def test_the_orm_manages_roles(guarded):
    connections.connect("auth", uri=guarded.uri, token=ROOT)
    try:
        role = Role("orm_role", using="auth")
        role.create()
        assert role.is_exist()
        utility.create_user("ormuser", "123456", using="auth")
        role.add_user("ormuser")
        assert list(role.get_users()) == ["ormuser"]
        role.grant("Global", "*", "CreateCollection")
        assert [g.privilege for g in role.list_grants().groups] == ["CreateCollection"]
        role.revoke("Global", "*", "CreateCollection")
        role.remove_user("ormuser")
        role.drop()
        assert not role.is_exist()
        assert "ormuser" in utility.list_usernames(using="auth")
        utility.delete_user("ormuser", using="auth")
    finally:
        connections.disconnect("auth")


def test_async_clients_log_in(guarded, root, name):
    fill(root, name)

    async def rows(token):
        client = AsyncMilvusClient(guarded.uri, token=token)
        try:
            return await client.query(name, filter="id >= 0", consistency_level="Strong")
        finally:
            await client.close()

    assert len(asyncio.run(rows(ROOT))) == 3
    refused(lambda: asyncio.run(rows("root:wrong")), HIDDEN)


# ── for good ────────────────────────────────────────────────────────────────────────────────────


def test_everything_survives_kill_9_and_is_kept_as_hashes(make_server, name):
    server = make_server(AUTH, token=ROOT)
    root = server.client()
    fill(root, name)
    root.create_role("r")
    root.grant_privilege("r", "Collection", "Query", name)
    root.create_privilege_group("g")
    root.add_privileges_to_group("g", ["Insert"])
    make_user(root, "kim", "r")
    root.update_password("root", "Milvus", "another-root")
    server.kill()
    server.login = {"token": "root:another-root"}
    server.start()
    refused(lambda: server.client(token=ROOT).list_collections(), WORDS)
    kim = login(server, "kim")
    assert len(kim.query(name, filter="id >= 0", consistency_level="Strong")) == 3
    refused(lambda: kim.insert(name, [{"id": 9, "vector": [0.0] * 4}]), "permission deny")
    groups = {g["privilege_group"] for g in server.client().list_privilege_groups()}
    assert "g" in groups
    server.stop()
    stored = b"".join(f.read_bytes() for f in server.data.rglob("*") if f.is_file())
    assert b"kim" in stored and b"secret-kim" not in stored and b"another-root" not in stored
    assert "secret-kim" not in server.log.read_text()


def test_users_are_managed_without_authorisation_too(client, server):
    client.create_user("idle", "123456")
    client.create_role("idle_role")
    client.grant_privilege("idle_role", "Global", "CreateCollection", "*")
    client.grant_role("idle", "idle_role")
    assert list(client.describe_user("idle")["roles"]) == ["idle_role"]
    # Nobody has to say who he is.
    server.client(token="idle:wrong").list_collections()
    client.drop_role("idle_role", force_drop=True)
    client.drop_user("idle")
