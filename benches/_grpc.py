"""Measurements over gRPC: the same client against Elanus or Milvus, requests prepared, server CPU counted."""

import json
import shutil
import subprocess
import sys
import time

import numpy as np

import _common as c
import _milvus as m
import _sets as sets

HNSW = {"M": 16, "efConstruction": 200}
NAME = "bench"
STRONG, EVENTUALLY = 0, 3


def create(client, dim, metric="COSINE", index_type="HNSW", params=None):
    """A loaded collection with an index, so that what is acknowledged can be searched."""
    from pymilvus import DataType

    schema = client.create_schema(enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
    index = client.prepare_index_params()
    index.add_index("vector", index_type=index_type, metric_type=metric, params=HNSW if params is None else params)
    client.create_collection(NAME, schema=schema, index_params=index, consistency_level="Strong")


def insert(stub, x, start=0, batch=1_000):
    for s in range(0, len(x), batch):
        c.check(stub.Insert(c.insert_request(NAME, start + s, x[s:s + batch]), timeout=300))


def wait_indexed(client, rows, timeout=900):
    """Waits until the index says that it holds all rows."""
    index = client.list_indexes(NAME)[0]
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        state = client.describe_index(NAME, index)
        if int(state.get("indexed_rows", 0)) >= rows and int(state.get("pending_index_rows", 0)) == 0:
            return
        time.sleep(0.1)
    raise SystemExit(f"not indexed after {timeout} s: {state}")


def wait_handed_over(stub, rows, timeout=600):
    """Milvus: waits until the query node holds all rows in sealed segments, each with its index. Until then
    searches go over growing segments without the index, and would be measured wrongly."""
    from pymilvus.grpc_gen import milvus_pb2

    end = time.monotonic() + timeout
    while time.monotonic() < end:
        infos = stub.GetQuerySegmentInfo(milvus_pb2.GetQuerySegmentInfoRequest(collectionName=NAME), timeout=60).infos
        sealed = sum(i.num_rows for i in infos if i.state == 3 and i.index_name)
        if sealed >= rows and all(i.state == 3 for i in infos):
            return
        time.sleep(0.1)
    raise SystemExit(f"not handed over after {timeout} s: {[(i.state, i.num_rows, i.index_name) for i in infos]}")


def searches(y, k=10, params=None, metric="COSINE", level=EVENTUALLY):
    """Search requests, one query each."""
    from pymilvus.grpc_gen import common_pb2

    made = []
    for vector in y:
        request = c.search_request(NAME, vector, k)
        request.consistency_level = level
        request.guarantee_timestamp = 0 if level == STRONG else 1
        del request.search_params[:]
        pairs = {"topk": str(k), "anns_field": "vector", "metric_type": metric, "params": json.dumps(params or {}),
                 "round_decimal": "-1"}
        request.search_params.extend(common_pb2.KeyValuePair(key=key, value=value) for key, value in pairs.items())
        made.append(request)
    return made


def ask(stub, requests):
    """Sends searches one after the other: keys found [queries, k] (-1: none) and wall seconds of each."""
    k = int(next(p.value for p in requests[0].search_params if p.key == "topk"))
    ids, took = np.full((len(requests), k), -1, np.int64), np.empty(len(requests))
    for row, request in enumerate(requests):
        start = time.perf_counter()
        answer = stub.Search(request, timeout=120)
        took[row] = time.perf_counter() - start
        found = c.check(answer).results.ids.int_id.data
        ids[row, :len(found)] = found
    return ids, took


def idle_rate(pid, seconds=3):
    """CPU seconds a second of a server that nobody asks."""
    before, start = c.cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return (c.cpu_seconds(pid) - before) / (time.monotonic() - start)


def percentiles(seconds):
    """Median and 99th percentile in milliseconds."""
    return float(np.percentile(seconds, 50) * 1e3), float(np.percentile(seconds, 99) * 1e3)


# ── the measuring process beside a server ───────────────────────────────────────────────────────


def measured(script, address, pid, prefix, options):
    """Runs `SCRIPT --measure OPTIONS` as a client of a server; the JSON that it printed last."""
    ask_for = json.dumps({**options, "address": address, "pid": pid})
    ran = subprocess.run([*prefix, sys.executable, script, "--measure", ask_for], stdout=subprocess.PIPE, text=True)
    if ran.returncode:
        raise SystemExit("the client failed")
    return json.loads(ran.stdout.splitlines()[-1])


def on_elanus(script, options, env=None):
    server = c.Elanus(env=env).start()
    try:
        return measured(script, server.address, server.process.pid, [], {**options, "server": "elanus"})
    finally:
        server.kill()
        shutil.rmtree(server.folder, ignore_errors=True)


def on_milvus(script, options):
    if not m.possible():
        return None
    with m.Milvus() as server:
        return measured(script, server.address, server.pid, server.prefix, {**options, "server": "milvus"})


def rows_of_pkgtext(count):
    """Rows of pkgtext384: the first so many, and beyond its end copies of others with noise of a third of
    their length, scaled to length one again; deterministic."""
    x = sets.prepare("pkgtext384").x()
    if count <= len(x):
        return x[:count]
    rng = np.random.default_rng(11)
    more = x[rng.integers(0, len(x), count - len(x))]
    noise = rng.standard_normal(more.shape, dtype=np.float32) * np.float32(0.33 / x.shape[1] ** 0.5)
    return np.concatenate([x, sets.unit(more + noise)])
