"""Named snapshots: kept, restored as a new collection, pinned."""

import pytest
from conftest import make_collection
from pymilvus import DataType, MilvusClient, MilvusException

pytestmark = pytest.mark.skipif(
    not hasattr(MilvusClient, "create_snapshot"), reason="this client has no snapshots"
)


def fill(client, name, ids, word="old", **more):
    client.upsert(name, [{"id": i, "v": [i, 0], "word": word} for i in ids], **more)


def rows(client, name):
    found = client.query(name, filter="id >= 0", output_fields=["word"], consistency_level="Strong")
    return {row["id"]: row["word"] for row in found}


def refused(words, code, call, *arguments, **options):
    with pytest.raises(MilvusException) as error:
        call(*arguments, **options)
    assert words in str(error.value) and error.value.code == code, error.value


@pytest.fixture
def shelf(client, name):
    make_collection(client, name, ("word", DataType.VARCHAR, {"max_length": 10}))
    return name


def test_a_snapshot_keeps_its_moment(client, shelf):
    other = shelf + "_restored"
    client.create_partition(shelf, "side")
    fill(client, shelf, range(5))
    fill(client, shelf, range(10, 13), partition_name="side")
    client.create_snapshot("then", shelf, description="the first")
    told = client.describe_snapshot("then", shelf)
    assert (told.name, told.description, told.collection_name) == ("then", "the first", shelf)
    assert sorted(told.partition_names) == ["_default", "side"] and told.create_ts > 0
    then = rows(client, shelf)
    fill(client, shelf, range(3, 8), "new")
    client.delete(shelf, ids=[0])
    client.release_collection(shelf)
    client.drop_partition(shelf, "side")
    client.compact(shelf)
    job = client.restore_snapshot("then", shelf, other)
    state = client.get_restore_snapshot_state(job)
    assert (state.state, state.progress, state.collection_name) == ("RestoreSnapshotCompleted", 100, other)
    assert [j.job_id for j in client.list_restore_snapshot_jobs(other)] == [job]
    assert sorted(client.list_partitions(other)) == ["_default", "side"]
    client.load_collection(other)
    assert rows(client, other) == then
    hit = client.search(other, [[12, 0]], limit=1, output_fields=["word"])[0][0]
    assert (hit["id"], hit["entity"]["word"]) == (12, "old")
    # Each goes on by itself, also without the snapshot and without the other.
    client.drop_snapshot("then", shelf)
    assert client.list_snapshots(shelf) == []
    client.drop_collection(shelf)
    fill(client, other, [99])
    assert rows(client, other) == then | {99: "old"}


def test_snapshots_are_refused_in_milvus_words(client, shelf):
    client.create_snapshot("s", shelf)
    client.create_snapshot("t", shelf)
    assert client.list_snapshots(shelf) == ["s", "t"]
    client.create_alias(shelf, shelf + "_alias")
    for words, code, call, arguments in [
        ("already exists", 1100, client.create_snapshot, ("s", shelf)),
        ("snapshot name should be not empty", 1100, client.create_snapshot, (" ", shelf)),
        ("snapshot name can only contain", 1100, client.create_snapshot, ("a-b", shelf)),
        ("collection not found", 100, client.create_snapshot, ("s", shelf + "_none")),
        ("not found", 2600, client.describe_snapshot, ("none", shelf)),
        ("not found", 2600, client.restore_snapshot, ("none", shelf, "x")),
        ("duplicate collection", 65535, client.restore_snapshot, ("s", shelf, shelf)),
        ("alias and collection name conflict", 1601, client.restore_snapshot, ("s", shelf, shelf + "_alias")),
        ("restore job not found", 2100, client.get_restore_snapshot_state, (7,)),
    ]:
        refused(words, code, call, *arguments)
    refused("compaction_protection_seconds must not exceed", 1100, client.create_snapshot, "u", shelf,
            compaction_protection_seconds=700_000)
    client.drop_snapshot("none", shelf)
    assert client.list_snapshots(shelf) == ["s", "t"]


def test_pins_and_restores_outlive_a_restart(make_server):
    server = make_server()
    client = server.client()
    client.create_database("attic")
    make_collection(client, "shelf", ("word", DataType.VARCHAR, {"max_length": 10}))
    fill(client, "shelf", range(3))
    client.create_snapshot("s", "shelf")
    pin = client.pin_snapshot_data("s", "shelf")
    client.pin_snapshot_data("s", "shelf", ttl_seconds=1)
    job = client.restore_snapshot("s", "shelf", "copy", target_db_name="attic")
    server.stop()
    server.start()
    client = server.client()
    refused("active pins exist", 2601, client.drop_snapshot, "s", "shelf")
    client.unpin_snapshot_data(pin)
    assert client.get_restore_snapshot_state(job).db_name == "attic"
    assert client.list_restore_snapshot_jobs() == []
    client.use_database("attic")
    assert [j.job_id for j in client.list_restore_snapshot_jobs()] == [job]
    client.load_collection("copy")
    assert len(rows(client, "copy")) == 3
