"""50,000 single-row inserts from a few threads: segments stay few, the disk stays small.

The memtable is made small (`--memtable-rows`), or all rows would wait in memory and nothing be seen.
Shown: rows/s, segments over time, and the disk's bytes by the bytes of the live rows after
compaction and gc. A share of the inserts can be upserts of earlier rows, so that there is garbage.
"""

import argparse
import json
import math
import shutil
import threading
import time

import _common as c


def segments(server):
    report = json.loads(server.tool("inspect", server.folder / "data", "--json"))
    return sum(len(collection["segments"]) for collection in report["collections"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--upserts", type=float, default=0.2, help="share of requests that write an older key")
    parser.add_argument("--memtable-rows", type=int, default=500)
    arguments = parser.parse_args()
    from pymilvus import MilvusClient
    from pymilvus.grpc_gen import milvus_pb2

    server = c.Elanus(env={"ELANUS_MEMTABLE_MAX_ROWS": str(arguments.memtable_rows)}).start()
    try:
        client = MilvusClient(f"http://{server.address}", timeout=600)
        c.create(client, "bench", arguments.dim)
        x = c.vectors(arguments.rows, arguments.dim)
        fresh_every = max(1, round(1 / max(arguments.upserts, 1e-9)))
        done, lock, keys = [0], threading.Lock(), set()

        def work(thread):
            stub = c.stub(server.address)
            mine = []
            for n, row in enumerate(range(thread, arguments.rows, arguments.threads)):
                older = arguments.upserts > 0 and n % fresh_every == fresh_every - 1 and mine
                key = mine[n * 7919 % len(mine)] if older else row
                request = c.insert_request("bench", key, x[row:row + 1])
                if older:
                    c.check(stub.Upsert(milvus_pb2.UpsertRequest(
                        collection_name="bench", fields_data=request.fields_data, num_rows=1,
                        hash_keys=[1]), timeout=120))
                else:
                    c.check(stub.Insert(request, timeout=120))
                    mine.append(key)
                with lock:
                    done[0] += 1
                    keys.add(key)

        start = time.monotonic()
        threads = [threading.Thread(target=work, args=(t,)) for t in range(arguments.threads)]
        [t.start() for t in threads]
        over_time = []
        while any(t.is_alive() for t in threads):
            time.sleep(2)
            over_time.append((done[0], segments(server)))
        [t.join() for t in threads]
        took = time.monotonic() - start
        if done[0] != arguments.rows:
            raise SystemExit("a write was not acknowledged")
        counted = client.query("bench", output_fields=["count(*)"])[0]["count(*)"]
        if counted != len(keys):
            raise SystemExit(f"{counted} rows, but {len(keys)} keys were written")
        client.flush("bench")
        c.compact(client, "bench")
        c.wait_quiet(server.process.pid)
        after = segments(server)
        server.stop()
        data = server.folder / "data"
        server.tool("compact", data, "--all")
        server.tool("gc", data, env={"ELANUS_GC_GRACE_MS": "0", "ELANUS_GC_KEEP_MANIFESTS": "0"})
        server.tool("verify", data)
        live = len(keys) * (8 + 4 * arguments.dim)
        bucket = c.disk_bytes(data / "collections")
        whole = c.disk_bytes(data)
        most = max(s for _, s in over_time) if over_time else after
        print(f"\n{arguments.rows:,} single-row writes × {arguments.dim}-d, {arguments.threads} threads, "
              f"{arguments.upserts:.0%} upserts, flush at {arguments.memtable_rows} rows\n")
        c.show(["", "figure"], [
            ["writes/s", arguments.rows / took],
            ["flushes, at least", arguments.rows / arguments.memtable_rows],
            ["segments at most, while writing", most],
            ["log2(flushes)", math.log2(max(2, arguments.rows / arguments.memtable_rows))],
            ["segments after flush and compaction", after],
            ["live MB (keys and vectors)", live / 1e6],
            ["bucket MB after compaction and gc", bucket / 1e6],
            ["bucket / live", bucket / live],
            ["with the local log, / live", whole / live],
        ])
        print("\nwrites: segments   " + "   ".join(f"{d:,}: {s}" for d, s in over_time[:: max(1, len(over_time) // 12)]))
        c.save("small_inserts", {"writes_per_s": arguments.rows / took, "most": most, "after": after,
                                 "bucket_by_live": bucket / live, "disk_by_live": whole / live})
    finally:
        if server.process.poll() is None:
            server.kill()
        shutil.rmtree(server.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
