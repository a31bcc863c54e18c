"""Server CPU of searches and of building, over gRPC, beside Milvus 2.3.5 (HNSW, M 16, efConstruction 200).

`search`: 60,000 × 384 real rows, one query a call; for each server the cheapest `ef` of those tried with
recall@10 ≥ .95 (a search without parameters is shown too); CPU of the server and all its processes, what it
uses when idle taken off. `build`: CPU from the first insert of 100,000 × 384 until the index holds all rows,
nothing is pending and the server is quiet again. `fresh`: wall time of a Strong search right after a write of
ten rows was acknowledged, beside the same search without a write; the written row must be found.
"""

import argparse
import json
import time

import numpy as np

import _common as c
import _grpc as g
import _sets as sets

EFS = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256]
RECALL = 0.95


def client_of(o):
    from pymilvus import MilvusClient

    return MilvusClient(f"http://{o['address']}", timeout=600), c.stub(o["address"])


def cpu_of(stub, requests, pid, idle, seconds):
    """Server CPU ms a search, wall ms (median, p99), and the CPU with the idle share left in."""
    g.ask(stub, requests[:20])
    cpu, start, took = c.cpu_seconds(pid), time.monotonic(), []
    while not took or time.monotonic() - start < seconds or c.cpu_seconds(pid) - cpu < seconds / 4:
        took.append(g.ask(stub, requests)[1])
        if time.monotonic() - start > 10 * seconds:
            break
    used, wall = c.cpu_seconds(pid) - cpu, time.monotonic() - start
    count = sum(len(t) for t in took)
    p50, p99 = g.percentiles(np.concatenate(took))
    return {"cpu_ms": max(used - idle * wall, 0) / count * 1e3, "cpu_ms_with_idle": used / count * 1e3,
            "p50_ms": p50, "p99_ms": p99, "searches": count}


def search(client, stub, o, x, y):
    """Recall for each ef, then the CPU of the cheapest that is good enough."""
    truth = sets.exact("COSINE", x, y, 10)
    data = argparse.Namespace(metric="COSINE")
    tried = {}
    for ef in EFS:
        ids, _ = g.ask(stub, g.searches(y, 10, {"ef": ef}))
        tried[ef] = sets.recall(data, ids, truth, 10, x, y)
    good = [ef for ef, recall in tried.items() if recall >= RECALL]
    if not good:
        raise SystemExit(f"no ef reaches recall {RECALL}: {tried}")
    idle = g.idle_rate(o["pid"])
    figures = {"recall_by_ef": tried, "idle_cpu": idle, "ef": good[0], "recall": tried[good[0]]}
    figures |= cpu_of(stub, g.searches(y, 10, {"ef": good[0]}), o["pid"], idle, o["seconds"])
    ids, _ = g.ask(stub, g.searches(y, 10))
    figures["default_recall"] = sets.recall(data, ids, truth, 10, x, y)
    figures["default_cpu_ms"] = cpu_of(stub, g.searches(y, 10), o["pid"], idle, o["seconds"])["cpu_ms"]
    return figures


def fresh(stub, o, dim):
    """Wall ms of Strong searches: quiet, and right after an acknowledged write."""
    rng = np.random.default_rng(5)
    new = sets.unit(rng.standard_normal((o["writes"] * 10, dim)).astype(np.float32))
    ids = {}
    quiet = g.searches(new[::10], 10, {"ef": 64}, level=g.STRONG)
    g.ask(stub, quiet[:5])
    ids["quiet"] = g.ask(stub, quiet)[1]
    after, late = [], []
    for n, request in enumerate(quiet):
        rows = new[10 * n:10 * n + 10]
        start = time.perf_counter()
        c.check(stub.Insert(c.insert_request(g.NAME, 10_000_000 + 10 * n, rows), timeout=60))
        late.append(time.perf_counter() - start)
        found, took = g.ask(stub, [request])
        after.append(took[0])
        if found[0, 0] != 10_000_000 + 10 * n:
            raise SystemExit(f"a written row was not found by the search after it: {found[0]}")
    return {**dict(zip(("quiet_p50_ms", "quiet_p99_ms"), g.percentiles(ids["quiet"]))),
            **dict(zip(("after_p50_ms", "after_p99_ms"), g.percentiles(after))),
            **dict(zip(("write_p50_ms", "write_p99_ms"), g.percentiles(late)))}


def settle(stub, o, rows, idle):
    """Waits until nothing is left to do after a build."""
    if o["server"] == "milvus":
        g.wait_handed_over(stub, rows)
    c.wait_quiet(o["pid"], idle)


def build(client, stub, o, x):
    """CPU from the first insert to all rows indexed; requests are made before."""
    batches = [c.insert_request(g.NAME, s, x[s:s + 1000]) for s in range(0, len(x), 1000)]
    time.sleep(1)
    idle = g.idle_rate(o["pid"])
    cpu, start = c.cpu_seconds(o["pid"]), time.monotonic()
    for batch in batches:
        c.check(stub.Insert(batch, timeout=300))
    figures = {"rows": len(x), "acknowledged_s": time.monotonic() - start}
    client.flush(g.NAME)
    g.wait_indexed(client, len(x))
    figures |= {"indexed_s": time.monotonic() - start, "indexed_cpu_s": c.cpu_seconds(o["pid"]) - cpu}
    settle(stub, o, len(x), idle)
    wall, used = time.monotonic() - start, c.cpu_seconds(o["pid"]) - cpu
    return {**figures, "quiet_s": wall, "cpu_with_idle_s": used, "cpu_s": max(used - idle * wall, 0.01)}


def measure(o):
    """The client: builds and asks whatever listens."""
    data = sets.prepare("pkgtext384", o["quick"])
    y = data.y()[:o["queries"]]
    client, stub = client_of(o)
    figures = {}
    if "build" in o["parts"]:
        x = data.x()[:o["build_rows"]] if o["quick"] else g.rows_of_pkgtext(o["build_rows"])
        g.create(client, data.dim)
        figures["build"] = build(client, stub, o, x)
        ids, _ = g.ask(stub, g.searches(y, 10, {"ef": 128}))
        truth = sets.exact("COSINE", x, y, 10)
        figures["build"]["recall_ef128"] = sets.recall(data, ids, truth, 10, x, y)
        client.drop_collection(g.NAME)
    if {"search", "fresh"} & set(o["parts"]):
        x = data.x()[:o["rows"]]
        idle = g.idle_rate(o["pid"])
        g.create(client, data.dim)
        g.insert(stub, x)
        client.flush(g.NAME)
        g.wait_indexed(client, len(x))
        c.compact(client, g.NAME)
        settle(stub, o, len(x), idle)
    if "search" in o["parts"]:
        figures["search"] = search(client, stub, o, x, y)
    if "fresh" in o["parts"]:
        figures["fresh"] = fresh(stub, o, data.dim)
    print(json.dumps(figures))


SHOWN = {
    "search": [("ef", "ef"), ("recall@10", "recall"), ("server CPU ms a search", "cpu_ms"),
               ("the same with idle work", "cpu_ms_with_idle"), ("wall p50 ms", "p50_ms"), ("wall p99 ms", "p99_ms"),
               ("no parameters: recall@10", "default_recall"), ("no parameters: server CPU ms", "default_cpu_ms"),
               ("CPU per s when idle", "idle_cpu")],
    "build": [("server CPU s to all indexed and quiet", "cpu_s"), ("the same with idle work", "cpu_with_idle_s"),
              ("server CPU s when the index says so", "indexed_cpu_s"), ("wall s to the last acknowledgement", "acknowledged_s"),
              ("wall s to all indexed", "indexed_s"), ("wall s to quiet", "quiet_s"), ("recall@10 with ef 128", "recall_ef128")],
    "fresh": [("quiet Strong search p50 ms", "quiet_p50_ms"), ("p99 ms", "quiet_p99_ms"),
              ("right after a write p50 ms", "after_p50_ms"), ("p99 ms", "after_p99_ms"),
              ("the write of 10 rows p50 ms", "write_p50_ms"), ("p99 ms", "write_p99_ms")],
}


def report(results, o):
    for part in o["parts"]:
        both = {name: figures[part] for name, figures in results.items()}
        print(f"\n{part}\n")
        rows = []
        for label, key in SHOWN[part]:
            row = [label, *(f[key] for f in both.values())]
            if len(both) == 2:
                ours, theirs = both["elanus"][key], both["milvus"][key]
                share = "recall" not in label and key not in ("ef", "idle_cpu") and ours
                row.append(theirs / ours if share else "")
            rows.append(row)
        c.show(["", *both, *(["ours ÷"] if len(both) == 2 else [])], rows)
        if part == "fresh":
            for name, f in both.items():
                print(f"{name}: a write before costs {f['after_p50_ms'] - f['quiet_p50_ms']:+.2f} ms in the median, "
                      f"{f['after_p99_ms'] - f['quiet_p99_ms']:+.2f} ms at the 99th percentile")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=lambda t: t.split(","), default=["build", "search", "fresh"])
    parser.add_argument("--rows", type=int, default=60_000, help="rows that are searched")
    parser.add_argument("--build-rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--writes", type=int, default=300, help="writes with a search after each")
    parser.add_argument("--seconds", type=float, default=8.0, help="wall seconds of a CPU measurement, at least")
    parser.add_argument("--only", choices=["elanus", "milvus"])
    parser.add_argument("--quick", action="store_true", help="few rows and searches: whether it works")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.measure:
        return measure(json.loads(a.measure))
    if unknown := set(a.parts) - set(SHOWN):
        raise SystemExit(f"no such part: {sorted(unknown)[0]}; there are {', '.join(SHOWN)}")
    o = {key: value for key, value in vars(a).items() if key not in ("only", "measure")}
    if a.quick:
        o |= {"rows": 4_000, "build_rows": 5_000, "queries": 50, "writes": 20, "seconds": 1.0}
    sets.prepare("pkgtext384", a.quick)
    results = {}
    if a.only != "milvus":
        results["elanus"] = g.on_elanus(__file__, o)
    if a.only != "elanus" and (figures := g.on_milvus(__file__, o)):
        results["milvus"] = figures
    report(results, o)
    c.save("grpc_search", results)


if __name__ == "__main__":
    main()
