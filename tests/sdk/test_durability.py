"""Acknowledged means there: after kill -9 at any moment, SIGTERM, and restarts."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import elanus, eventually

HERE = Path(__file__).parent
DIM = 16
# Small memtables and an eager compaction, so that a kill meets flushes and merges under way.
BUSY = {
    "ELANUS_MEMTABLE_MAX_ROWS": "1500",
    "ELANUS_COMPACTION_INTERVAL_MS": "20",
    "ELANUS_COMPACTION_MIN_TIER_BYTES": "100000",
    "ELANUS_GC_INTERVAL_MS": "50",
    "ELANUS_GC_GRACE_MS": "100",
}


def rows(start, count, version=0):
    return [
        {"id": i, "vector": [float(i % 97), float(version)] + [0.5] * (DIM - 2), "version": version}
        for i in range(start, start + count)
    ]


def count(client, filter=""):
    return client.query("t", filter=filter, output_fields=["count(*)"],
                        consistency_level="Strong")[0]["count(*)"]


def all_rows(client):
    """id → version of every row, read in pages; a key that comes twice is an error."""
    pages = client.query_iterator("t", batch_size=5000, filter="id >= 0", output_fields=["version"])
    found = {}
    while page := pages.next():
        for row in page:
            assert row["id"] not in found, f"{row['id']} is there twice"
            found[row["id"]] = row["version"]
    pages.close()
    return found


def start_writer(server, kind, base):
    command = [sys.executable, str(HERE / "writer.py"), server.uri, kind, str(base), str(DIM)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def end_writer(writer):
    """Stops a writer and reads what it said: a list of (word, first id, count, version)."""
    writer.kill()
    out, _ = writer.communicate()
    told = []
    for line in out.splitlines():
        parts = line.split()
        if len(parts) == 5 and parts[4] == ".":  # a line cut by the kill has no full stop
            told.append((parts[0], *map(int, parts[1:4])))
    return told


@pytest.mark.parametrize("wait", [0.6, 1.5, 3.0])
def test_kill_while_two_processes_write(make_server, wait):
    server = make_server(env=BUSY)
    server.client().create_collection("t", dimension=DIM)
    writers = [start_writer(server, "insert", 0), start_writer(server, "upsert", 10_000_000)]
    eventually(lambda: count(server.client()) > 300)
    time.sleep(wait)
    server.kill()
    told = [end_writer(w) for w in writers]
    server.start()
    client = server.client()
    found = all_rows(client)
    allowed = set()
    newest = {}
    for word, first, n, version in (t for tell in told for t in tell):
        for i in range(first, first + n):
            allowed.add(i)
            if word == "acknowledged":
                newest[i] = max(newest.get(i, -1), version)
    assert len(newest) > 300, "too little was written for this to mean something"
    missing = [i for i in newest if i not in found]
    assert not missing, f"{len(missing)} acknowledged rows are lost, the first {missing[0]}"
    older = [i for i, version in newest.items() if found[i] < version]
    assert not older, f"{len(older)} rows are older than acknowledged, the first {older[0]}"
    invented = set(found) - allowed
    assert not invented, f"{len(invented)} rows were never sent"
    assert count(client) == len(found)
    some = list(newest)[:: max(1, len(newest) // 50)]
    assert sorted(r["id"] for r in client.get("t", ids=some)) == sorted(some)
    # And it goes on working.
    client.insert("t", rows(50_000_000, 10))
    assert count(client) == len(found) + 10
    assert server.stop() == 0
    checked = elanus("verify", server.data)
    assert checked.returncode == 0, checked


def test_kill_again_and_again(make_server):
    server = make_server(env=BUSY)
    server.client().create_collection("t", dimension=DIM)
    written = {}
    for turn in range(6):
        client = server.client()
        for part in range(4):
            start = (turn * 4 + part) * 300
            client.upsert("t", rows(start, 500, version=turn))  # the last 200 are written again
            written.update({i: turn for i in range(start, start + 500)})
        client.delete("t", filter=f"id >= {turn * 1200} and id < {turn * 1200 + 100}")
        for i in range(turn * 1200, turn * 1200 + 100):
            written.pop(i, None)
        if turn % 2:
            client.flush("t")
        server.kill()
        server.start()
        assert all_rows(server.client()) == written
        assert count(server.client()) == len(written)


def test_restart_after_flush(make_server):
    server = make_server()
    client = server.client()
    client.create_collection("t", dimension=DIM)
    client.insert("t", rows(0, 1000))
    client.flush("t")
    client.insert("t", rows(1000, 500))
    client.delete("t", ids=[3, 1003])
    client.upsert("t", rows(10, 5, version=1))
    server.kill()
    server.start()
    client = server.client()
    assert count(client) == 1498 and count(client, "version == 1") == 5
    assert client.get("t", ids=[3, 1003]) == []
    hits = client.search("t", [rows(7, 1)[0]["vector"]], limit=1, filter="id == 7")[0]
    assert hits[0]["id"] == 7


def test_sigterm_is_a_clean_end(make_server):
    server = make_server()
    client = server.client()
    client.create_collection("t", dimension=DIM)
    client.insert("t", rows(0, 200))
    writer = start_writer(server, "insert", 1000)
    eventually(lambda: count(client) > 300)
    assert server.stop(timeout=30) == 0, server.tail()
    told = end_writer(writer)
    server.start()
    found = all_rows(server.client())
    lost = [i for word, first, n, _ in told if word == "acknowledged"
            for i in range(first, first + n) if i not in found]
    assert not lost and set(range(200)) <= set(found)


def test_ddl_survives(make_server):
    server = make_server()
    client = server.client()
    client.create_collection("t", dimension=DIM)
    client.create_collection("gone", dimension=DIM)
    client.drop_collection("gone")
    client.create_partition("t", "p")
    client.create_alias("t", "nickname")
    client.create_database("d")
    server.client(db_name="d").create_collection("inside", dimension=DIM)
    before = client.describe_collection("t")
    server.kill()
    server.start()
    client = server.client()
    assert client.list_collections() == ["t"]
    assert sorted(client.list_partitions("t")) == ["_default", "p"]
    assert client.describe_collection("nickname") == {**before}
    assert server.client(db_name="d").list_collections() == ["inside"]
    assert client.get_load_state("t")["state"].name == "Loaded"


def test_a_second_server_is_refused(make_server):
    server = make_server()
    client = server.client()
    client.create_collection("t", dimension=DIM)
    client.insert("t", rows(0, 50))
    second = elanus("serve", "--data", server.data, "--listen", "127.0.0.1:0", timeout=30)
    said = (second.stdout + second.stderr).lower()
    assert second.returncode != 0
    assert any(word in said for word in ("another", "in use", "already", "writer")), said
    assert "panicked" not in said
    client.insert("t", rows(50, 50))
    assert count(client) == 100


def test_offline_tools_leave_a_live_store_alone(make_server):
    server = make_server()
    client = server.client()
    client.create_collection("t", dimension=DIM)
    for part in range(4):
        client.insert("t", rows(part * 100, 100))
        client.flush("t")
    for command in (["compact", server.data, "--all"], ["gc", server.data], ["sql", "--data", server.data,
                                                                             "-c", "select 1"]):
        ran = elanus(*command, timeout=60)
        assert "panicked" not in ran.stderr
        assert ran.returncode == 0 or ran.stderr.strip(), (command, ran)
        client.insert("t", rows(400, 100))
        assert count(client) == 500
    shown = elanus("inspect", server.data, "--json")
    assert shown.returncode == 0, shown
    assert server.stop() == 0
    for command in (["compact", server.data, "--all"], ["gc", server.data], ["verify", server.data]):
        ran = elanus(*command)
        assert ran.returncode == 0, (command, ran)
    server.start()
    assert count(server.client()) == 500
