"""Searches over gRPC while other things happen: rows arriving, a compaction, segments not yet merged.

Real and jittered rows of pkgtext384 in 10 segments with background compaction off; searches one a call at
default effort and Strong consistency, from so many clients, each a process that asks again at once. Phases:
unmerged and quiet, while everything is merged, merged and quiet, then with rows arriving at each rate, each
beside the mean of the quiet phases before and after it. Shown: searches per second and wall milliseconds. The clients run on the
same cores as the server, which takes from both; the server's CPU for a search is shown too, writes included.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import _common as c
import _grpc as g
import _sets as sets


# ── processes that make the load ────────────────────────────────────────────────────────────────


def loop_search(o):
    """Asks until the time is over or a file says stop; keeps when each search began and how long it took."""
    y = np.load(o["queries"])
    stub, requests = c.stub(o["address"]), g.searches(y, 10, level=g.STRONG)
    g.ask(stub, requests[:5])
    log, number = [], o["number"] * 37
    while (start := time.monotonic()) < o["until"] and not os.path.exists(o["stop"]):
        c.check(stub.Search(requests[number % len(requests)], timeout=60))
        log.append((start, time.monotonic() - start))
        number += 1
    np.save(o["out"], np.array(log).reshape(-1, 2))


def loop_insert(o):
    """Writes batches at an even rate; prints how many rows arrived and how late the last batch began."""
    x = np.load(o["rows"], mmap_mode="r")
    batch = max(1, o["rate"] // 10)
    stub = c.stub(o["address"])
    count = int(o["rate"] * (o["until"] - o["begin"]))
    ready = [c.insert_request(g.NAME, o["key"] + s, np.ascontiguousarray(x[np.arange(s, s + batch) % len(x)]))
             for s in range(0, count, batch)]
    late = 0.0
    done = 0
    for n, request in enumerate(ready):
        due = o["begin"] + n * batch / o["rate"]
        late = time.monotonic() - due
        if late < 0:
            time.sleep(-late)
        if time.monotonic() > o["until"]:
            break
        c.check(stub.Insert(request, timeout=60))
        done += batch
    print(json.dumps({"rows": done, "late_s": max(late, 0.0)}))


class Load:
    """Starts load processes against a server and gathers what they saw."""

    def __init__(self, server, a, folder, y, fresh):
        self.server, self.a, self.folder = server, a, Path(folder)
        self.next_key, self.stop = 10_000_000, self.folder / "stop"
        np.save(self.folder / "queries.npy", y)
        np.save(self.folder / "fresh.npy", fresh)

    def process(self, what, **options):
        options |= {"address": self.server.address}
        return subprocess.Popen([sys.executable, __file__, "--load", what, json.dumps(options)], stdout=subprocess.PIPE, text=True)

    def searching(self, until):
        return [(self.process("search", queries=str(self.folder / "queries.npy"), number=i, until=until,
                              out=str(self.folder / f"log{i}.npy"), stop=str(self.stop)), self.folder / f"log{i}.npy") for i in range(self.a.clients)]

    def gather(self, searching):
        for process, _ in searching:
            if process.wait():
                raise SystemExit("a searching client failed")
        return np.concatenate([np.load(path) for _, path in searching])

    def figures(self, log, begin, end, cpu):
        """Of the searches that began in an interval."""
        took = log[(log[:, 0] >= begin) & (log[:, 0] < end), 1]
        if not len(took):
            raise SystemExit("no search fell into the phase; ask for more rows or seconds")
        p50, p99 = g.percentiles(took)
        return {"qps": len(took) / (end - begin), "p50_ms": p50, "p99_ms": p99, "searches": len(took),
                "seconds": end - begin, "cpu_ms": cpu / len(took) * 1e3}

    def phase(self, rate=0):
        """A phase of the usual length, with rows arriving or without."""
        begin = time.monotonic() + 3 + rate * self.a.seconds / 4_000  # the processes start and prepare
        until = begin + self.a.seconds
        writer = None
        if rate:
            writer = self.process("insert", rows=str(self.folder / "fresh.npy"), rate=rate, begin=begin, until=until, key=self.next_key)
            self.next_key += int(rate * self.a.seconds) + rate
        searching = self.searching(until)
        time.sleep(max(0, begin - time.monotonic()))
        cpu = c.cpu_seconds(self.server.process.pid)
        time.sleep(max(0, until - time.monotonic()))
        cpu = c.cpu_seconds(self.server.process.pid) - cpu
        found = self.figures(self.gather(searching), begin, until, cpu)
        if writer:
            said = json.loads(writer.communicate()[0].splitlines()[-1])
            found |= {"rows_per_s": said["rows"] / self.a.seconds, "late_s": said["late_s"]}
        return found

    def compaction(self, client):
        """Searches that began between the call to compact and its end."""
        searching = self.searching(time.monotonic() + 900)
        time.sleep(3)
        begin, cpu = time.monotonic(), c.cpu_seconds(self.server.process.pid)
        c.compact(client, g.NAME)
        end, cpu = time.monotonic(), c.cpu_seconds(self.server.process.pid) - cpu
        self.stop.touch()
        log = self.gather(searching)
        self.stop.unlink()
        return self.figures(log, begin, end, cpu)


# ── the measurement ─────────────────────────────────────────────────────────────────────────────


def fill(client, stub, x, segments):
    """Rows into so many segments."""
    g.create(client, x.shape[1])
    cuts = [len(x) * i // segments for i in range(segments + 1)]
    for a, b in zip(cuts, cuts[1:]):
        g.insert(stub, x[a:b], a)
        client.flush(g.NAME)
    g.wait_indexed(client, len(x))


def run(a, server, folder):
    from pymilvus import MilvusClient

    data = sets.prepare("pkgtext384", a.quick)
    every = data.x() if a.quick else g.rows_of_pkgtext(a.rows + 20_000)
    x, fresh = every[:a.rows], every[-20_000:]
    client, stub = MilvusClient(f"http://{server.address}", timeout=600), c.stub(server.address)
    fill(client, stub, x, a.segments)
    c.wait_quiet(server.process.pid)
    load, phases = Load(server, a, folder, data.y()[:500], fresh), {}
    phases[f"{a.segments} segments, quiet"] = load.phase()
    phases["while they are merged"] = load.compaction(client)
    c.wait_quiet(server.process.pid)
    quiet = [load.phase()]
    phases["merged, quiet"] = quiet[0]
    for rate in a.rates:
        found = load.phase(rate)
        quiet.append(load.phase())
        phases[f"{rate:,} rows/s arriving"] = found
        phases[f"quiet after {rate:,} rows/s"] = quiet[-1]
        for key in ("qps", "p99_ms"):
            found[f"of_quiet_{key}"] = found[key] / np.mean([quiet[-2][key], quiet[-1][key]])
    for name in (f"{a.segments} segments, quiet", "while they are merged"):
        for key in ("qps", "p99_ms"):
            phases[name][f"of_quiet_{key}"] = phases[name][key] / quiet[0][key]
    return phases


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--segments", type=int, default=10)
    parser.add_argument("--rates", type=lambda t: [int(r) for r in t.split(",")], default=[500, 1000])
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each phase")
    parser.add_argument("--memtable-rows", type=int, help="flush at so many rows, so that arriving rows are flushed too")
    parser.add_argument("--quick", action="store_true", help="few rows, short phases: whether it works")
    parser.add_argument("--load", nargs=2, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.load:
        what, options = a.load
        return {"search": loop_search, "insert": loop_insert}[what](json.loads(options))
    if a.quick:
        a.rows, a.seconds, a.segments = min(a.rows, 4_000), min(a.seconds, 2.0), min(a.segments, 4)
    env = {"ELANUS_COMPACTION_ENABLED": "false"}
    if a.memtable_rows:
        env["ELANUS_MEMTABLE_MAX_ROWS"] = str(a.memtable_rows)
    server = c.Elanus(env=env).start()
    try:
        with tempfile.TemporaryDirectory(prefix="elanus-mixed-") as folder:
            phases = run(a, server, folder)
    finally:
        server.kill()
        shutil.rmtree(server.folder, ignore_errors=True)
    print(f"\n{a.rows:,} rows × 384-d, {a.clients} searching client(s), default effort, Strong; wall time\n")
    c.show(["", "searches/s", "by quiet", "p50 ms", "p99 ms", "by quiet", "server CPU ms each", "rows/s", "writer late s", "s"], [
        [name, f["qps"], f.get("of_quiet_qps", "–"), f["p50_ms"], f["p99_ms"], f.get("of_quiet_p99_ms", "–"), f["cpu_ms"],
         f.get("rows_per_s", "–"), f.get("late_s", "–"), f["seconds"]] for name, f in phases.items()])
    if phases["while they are merged"]["seconds"] < 1:
        print("the merge took less than a second: its percentiles come from few searches; ask for more --rows")
    c.save("mixed", phases)


if __name__ == "__main__":
    main()
