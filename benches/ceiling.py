"""Memory under a mixed load with data twice as large as the limit, restarts included.

`cargo xtask bench ceiling [--limit-mb 700] [--factor 2]` starts a server with `memory.limit_bytes`, inserts vectors worth `factor`
times that, searches, filters, takes vectors out, upserts, deletes and compacts from several processes at once, restarts it after a
kill and goes on. The resident set is sampled all the while; its peak must stay within the limit and 5 %. Answers are compared
with the rows that were sent.
"""

import argparse
import json
import multiprocessing
import random
import shutil
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
from _common import Elanus
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

DIM = 384
BATCH = 1_000
MB = 1 << 20


def rows_of(start, count):
    """Rows of these ids: vectors of length one around 64 centres, the same in every process."""
    ids = np.arange(start, start + count)
    out = np.empty((count, DIM), np.float32)
    for at, row in enumerate(ids):
        out[at] = np.random.default_rng(int(row)).standard_normal(DIM, dtype=np.float32)
    centres = np.random.default_rng(1 << 40).standard_normal((64, DIM), dtype=np.float32)
    out = out * 0.7 + centres[ids % 64]
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    return [{"id": int(i), "kind": int(i) % 100, "text": f"row {i}", "vector": v} for i, v in zip(ids, out)]


def resident_mb(pid):
    """Resident set of a process: (all, without mapped files), MB."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    size = lambda name: int(fields[name].split()[0]) / 1024
    return size("VmRSS"), size("RssAnon")


class Watch(threading.Thread):
    """Samples the resident set of whatever process the server is now."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.samples, self.phase, self.peaks = server, [], "start", {}

    def run(self):
        while True:
            try:
                rss, anonymous = resident_mb(self.server.process.pid)
                self.samples.append(rss)
                old = self.peaks.get(self.phase, (0, 0))
                self.peaks[self.phase] = (max(old[0], rss), max(old[1], anonymous))
            except (OSError, KeyError, AttributeError):
                pass
            time.sleep(0.05)


def client_of(address):
    return MilvusClient(f"http://{address}", timeout=120)


def load(address, rows, kind, seed, seconds, pipe):
    """One client of the mixed load; sends (operations, refusals, wrong answers)."""
    draw, client = random.Random(seed), client_of(address)
    done, refused, wrong = Counter(), Counter(), []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        row = rows_of(draw.randrange(rows), 1)[0]
        try:
            if kind == "search":
                hits = client.search("c", [row["vector"].tolist()], limit=10, output_fields=["text"])[0]
                if not hits or hits[0]["id"] != row["id"] or hits[0]["text"] != row["text"]:
                    wrong.append(f"search for {row['id']} found {[h['id'] for h in hits]}")
            elif kind == "filtered":
                hits = client.search("c", [row["vector"].tolist()], limit=10, filter=f"kind == {row['kind']}")[0]
                if len(hits) != 10 or hits[0]["id"] != row["id"] or any(h["id"] % 100 != row["kind"] for h in hits):
                    wrong.append(f"filtered search for {row['id']} found {[h['id'] for h in hits]}")
            elif kind == "exact":
                hits = client.search("c", [row["vector"].tolist()] * 4, limit=5, search_params={"level": 10})
                if any(h[0]["id"] != row["id"] for h in hits):
                    wrong.append(f"search of four for {row['id']}")
            elif kind == "query":
                first = draw.randrange(max(1, rows - 2_000))
                got = client.query("c", filter=f"id >= {first} and id < {first + 2_000}", limit=2_000,
                                   output_fields=["vector", "text"])
                if len(got) != min(2_000, rows - first) or any(r["text"] != f"row {r['id']}" for r in got):
                    wrong.append(f"query from {first} gave {len(got)} rows")
            else:
                start = draw.randrange(rows - BATCH)
                client.upsert("c", rows_of(start, BATCH))
            done[kind] += 1
        except MilvusException as error:
            refused[error.code] += 1
            time.sleep(0.2)
    pipe.send((done, refused, wrong))


def mixed(server, rows, seconds, compact):
    context = multiprocessing.get_context("spawn")
    clients = []
    for number, kind in enumerate(["search", "filtered", "query", "upsert", "exact", "search"]):
        near, far = context.Pipe()
        process = context.Process(target=load, args=(server.address, rows, kind, number, seconds, far), daemon=True)
        process.start()
        clients.append(near)
    if compact:
        client_of(server.address).compact("c")
    done, refused, wrong = Counter(), Counter(), []
    for near in clients:
        a, b, c = near.recv()
        done.update(a), refused.update(b), wrong.extend(c)
    return done, refused, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit-mb", type=int, default=700)
    parser.add_argument("--factor", type=float, default=2.0)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--folder")
    given = parser.parse_args()
    rows = int(given.limit_mb * MB * given.factor / (DIM * 4)) // BATCH * BATCH
    server = Elanus(given.folder, env={"ELANUS_MEMORY_LIMIT_BYTES": str(given.limit_mb * MB)}).start()
    watch = Watch(server)
    watch.start()
    client = client_of(server.address)
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("kind", DataType.INT64)
    schema.add_field("text", DataType.VARCHAR, max_length=64)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    indexes = client.prepare_index_params()
    indexes.add_index("vector", index_type="AUTOINDEX", metric_type="COSINE")
    client.create_collection("c", schema=schema, index_params=indexes)
    begin = time.monotonic()
    watch.phase = "insert"
    refusals = Counter()
    for start in range(0, rows, BATCH):
        part = rows_of(start, BATCH)
        while True:
            try:
                client.insert("c", part)
                break
            except MilvusException as error:
                refusals[error.code] += 1
                time.sleep(0.2)
    print(f"{rows} rows of {DIM} dimensions, {rows * DIM * 4 / MB:.0f} MB of vectors, inserted in "
          f"{time.monotonic() - begin:.0f} s; refused: {dict(refusals)}", flush=True)
    failed = False
    for phase, compact in (("mixed load", False), ("with compaction", True), ("after kill -9", False)):
        if phase == "after kill -9":
            server.kill()
            watch.phase = "restart"
            server.start()
        watch.phase = phase
        done, refused, wrong = mixed(server, rows, given.seconds, compact)
        count = client_of(server.address).query("c", output_fields=["count(*)"])[0]["count(*)"]
        if count != rows:
            wrong.append(f"count(*) is {count}, not {rows}")
        print(f"{phase}: {dict(done)}; refused: {dict(refused)}; wrong: {len(wrong)}", flush=True)
        for text in wrong[:5]:
            print("  " + text)
        failed |= bool(wrong)
    peak = max(watch.samples)
    for phase, (rss, anonymous) in watch.peaks.items():
        print(f"  peak of {phase}: {rss:.0f} MB, of which {rss - anonymous:.0f} MB are mapped files")
    print(json.dumps({"limit_mb": given.limit_mb, "peak_mb": round(peak), "of_limit": round(peak / given.limit_mb, 3),
                      "samples": len(watch.samples)}))
    failed |= peak > given.limit_mb * 1.05
    server.stop()
    if not failed:
        shutil.rmtree(server.folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
