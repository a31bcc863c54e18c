"""Insert 100,000 × 384-d over gRPC, each batch acknowledged; Elanus (fsynced) beside Milvus 2.3.5.

One client sends prepared batches of 1,000 one after the other. Measured: wall time, the 99th
percentile of a batch, and the server's CPU seconds, to the last acknowledgement and to the end of
flush and compaction. The collection has a FLAT index and is loaded on both sides, so that what is
acknowledged can be searched (`--unloaded` leaves that out). Milvus comes from PyPI into an environment of its own and runs in a network
namespace, because it listens on all addresses; without root or `ip` it is left out, visibly.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time

import _common as c
import _milvus as m


def measure(arguments):
    """The client: runs against whatever listens, prints its figures as JSON."""
    from pymilvus import MilvusClient

    client = MilvusClient(f"http://{arguments.address}", timeout=120)
    c.create(client, "bench", arguments.dim, index=not arguments.unloaded)
    x = c.vectors(arguments.rows, arguments.dim)
    batches = [c.insert_request("bench", s, x[s:s + arguments.batch])
               for s in range(0, arguments.rows, arguments.batch)]
    del x
    time.sleep(1)
    before, start = c.cpu_seconds(arguments.pid), time.monotonic()
    time.sleep(3)
    idle = (c.cpu_seconds(arguments.pid) - before) / (time.monotonic() - start)

    took, lock = [], threading.Lock()

    def send(mine):
        stub = c.stub(arguments.address)
        for batch in mine:
            begin = time.monotonic()
            c.check(stub.Insert(batch, timeout=120))
            with lock:
                took.append(time.monotonic() - begin)

    cpu, start = c.cpu_seconds(arguments.pid), time.monotonic()
    threads = [threading.Thread(target=send, args=(batches[i::arguments.clients],))
               for i in range(arguments.clients)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    acknowledged = time.monotonic() - start
    cpu_acknowledged = c.cpu_seconds(arguments.pid) - cpu
    if len(took) != len(batches):
        raise SystemExit("a batch was not acknowledged")
    client.flush("bench")
    flushed = time.monotonic() - start
    c.compact(client, "bench")
    c.wait_quiet(arguments.pid, idle)
    end = time.monotonic() - start
    took.sort()
    print(json.dumps({
        "rows": arguments.rows, "idle_cpu": idle,
        "ack_s": acknowledged, "rows_per_s": arguments.rows / acknowledged,
        "p50_ms": took[len(took) // 2] * 1e3, "p99_ms": took[int(len(took) * 0.99)] * 1e3,
        "cpu_ack_s": cpu_acknowledged, "rows_per_cpu_s": arguments.rows / max(cpu_acknowledged, 0.01),
        "flush_s": flushed - acknowledged, "end_s": end,
        "cpu_end_s": c.cpu_seconds(arguments.pid) - cpu,
    }))


def run_client(arguments, address, pid, prefix=()):
    command = [*prefix, sys.executable, __file__, "--measure", "--address", address, "--pid", str(pid),
               "--rows", str(arguments.rows), "--dim", str(arguments.dim),
               "--batch", str(arguments.batch), "--clients", str(arguments.clients)]
    command += ["--unloaded"] if arguments.unloaded else []
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if ran.returncode:
        raise SystemExit("the client failed")
    return json.loads(ran.stdout.splitlines()[-1])


def elanus(arguments):
    server = c.Elanus().start()
    try:
        figures = run_client(arguments, server.address, server.process.pid)
        figures["disk_mb"] = c.disk_bytes(server.folder / "data") / 1e6
        return figures
    finally:
        server.kill()
        shutil.rmtree(server.folder, ignore_errors=True)


def milvus(arguments):
    if not m.possible():
        return None
    with m.Milvus() as server:
        figures = run_client(arguments, server.address, server.pid, server.prefix)
        figures["disk_mb"] = c.disk_bytes(server.data) / 1e6
        return figures


ROWS = [
    ("rows/s to the last acknowledgement", "rows_per_s", True),
    ("wall s to the last acknowledgement", "ack_s", False),
    ("batch p50 ms", "p50_ms", False),
    ("batch p99 ms", "p99_ms", False),
    ("server CPU s to the last acknowledgement", "cpu_ack_s", False),
    ("rows per server CPU s", "rows_per_cpu_s", True),
    ("flush call s", "flush_s", False),
    ("wall s to the end of flush and compaction", "end_s", False),
    ("server CPU s to the end", "cpu_end_s", False),
    ("CPU per s when idle, before", "idle_cpu", False),
    ("MB on disk at the end", "disk_mb", False),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1, help="the best of so many is shown, for both alike")
    parser.add_argument("--only", choices=["elanus", "milvus"])
    parser.add_argument("--unloaded", action="store_true", help="no index, not loaded, not searchable")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    parser.add_argument("--pid", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        return measure(arguments)
    runs = {"elanus": [], "milvus": []}
    for _ in range(arguments.rounds):
        for name, run in (("elanus", elanus), ("milvus", milvus)):
            figures = run(arguments) if arguments.only in (None, name) else None
            if figures:
                runs[name].append(figures)
    best = {n: {key: (max if high else min)(r[key] for r in rs) for _, key, high in ROWS}
            for n, rs in runs.items() if rs}
    print(f"\n{arguments.rows:,} × {arguments.dim}-d, batches of {arguments.batch:,}, "
          f"{arguments.clients} client(s), {os.cpu_count()} cores, best of {arguments.rounds}\n")
    both = len(best) == 2
    c.show(["", *best, *(["better by"] if both else [])], [
        [label, *(best[n][key] for n in best),
         *([(best["elanus"][key] / best["milvus"][key]) if high else
            (best["milvus"][key] / max(best["elanus"][key], 1e-9))] if both else [])]
        for label, key, high in ROWS])
    c.save("insert", runs)


if __name__ == "__main__":
    main()
