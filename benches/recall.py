"""Recall and speed of vector search, ours and rivals, on the same data in one run, one thread, CPU time.

Each engine builds, saves and searches in processes of its own. Speed is queries per CPU second of one
call with all queries (`--single`: ours also one query a call); recall counts rows as near as the k-th.
Curves run over the effort (ours), ef (graphs), nprobe and k_factor (faiss PQ4). From them: speed at recall
.95 and .99, interpolated, and how many times ours is faster. Memory is what a process that opens the built
index and searches grows by. For `faiss-pq4` the best of three variants counts.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import _ann as ann
import _common as c
import _curves as curves
import _rivals as rivals
import _sets as sets

AT = [0.95, 0.99]


def ours(data, a):
    """Builds in one process, opens and searches in another."""
    store = ann.Store(data, sets.cache() / "elanus" / data.folder.name, fresh=not a.reuse)
    figures = {"points": []}
    if not a.reuse or not (store.folder / "store").is_dir():
        start = time.monotonic()
        lines = store.run(*ann.build(data.rows, a.segments))[1:]
        by_step = {}
        for line in lines:
            by_step[line["do"]] = by_step.get(line["do"], 0) + line["cpu_seconds"]
        figures |= {"build_cpu_seconds": sum(by_step.values()), "build_wall_seconds": time.monotonic() - start,
                    "build_steps_cpu_seconds": by_step, "segments": lines[-1]["segments"]}
    modes = ["batch", "single"] if a.single else ["batch"]
    efforts = ann.FEW if a.quick else ann.EFFORTS
    steps = [ann.search(effort, k, a.seconds, mode) for mode in modes for k in a.k for effort in efforts]
    steps += [ann.search(None, k, a.seconds, "batch", name="default") for k in a.k]
    lines = store.run(*steps)
    truth, x, y = data.truth(), data.x(), data.y()
    for line in lines[1:]:
        line["recall"] = sets.recall(data, line.pop("found"), truth, line["k"], x, y)
        keep = ("effort", "k", "mode", "recall", "qps", "cpu_seconds", "wall_seconds", "queries", "rows_scanned", "name")
        figures["points"].append({key: line[key] for key in keep})
    figures["rss_growth_bytes"] = lines[-1]["rss_bytes"] - lines[0]["rss_before_bytes"]
    figures["bytes"], figures["index_bytes"] = store.bytes(lines[-1]["segment_ids"])
    return figures


def lines_of(command):
    """What a program printed as JSON; None and its last words when it failed."""
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if ran.returncode:
        words = (ran.stderr.strip() or f"ended with {ran.returncode}").splitlines()[-1]
        print(f"  {command[3]} left out: {words}")
        return None
    return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]


def rival(name, data, a):
    out = sets.cache() / "rivals" / data.folder.name / name
    program = [sys.executable, str(Path(__file__).with_name("_rivals.py"))]
    figures = {"points": []}
    if not a.reuse or not out.is_dir():
        built = lines_of([*program, "build", name, str(data.folder), str(out)])
        if built is None:
            return None
        figures |= built[-1]
    lines = lines_of([*program, "search", name, str(data.folder), str(out), "--k", *map(str, a.k),
                      "--seconds", str(a.seconds), *(["--quick"] if a.quick else [])])
    if lines is None:
        return None
    truth, x, y = data.truth(), data.x(), data.y()
    for line in lines:
        if "ids" in line:
            path = line.pop("ids")
            found = np.fromfile(path, "<i4").reshape(len(y), -1)
            os.remove(path)
            figures["points"].append({**line, "mode": "batch", "recall": sets.recall(data, found, truth, line["k"], x, y)})
        else:
            figures |= line
    return figures


def points(figures, k, mode="batch"):
    return [(p["recall"], p["qps"]) for p in figures["points"] if (p["k"], p["mode"]) == (k, mode)]


def report(data, results, a):
    """The tables of one set."""
    for k in a.k:
        print(f"\n{data.name}: {data.rows:,} × {data.dim}-d, {data.metric}, recall@{k}, one thread, CPU time\n")
        for name, figures in results.items():
            print(f"  {name}: {curves.text(points(figures, k))}")
            if points(figures, k, "single"):
                print(f"  {name}, one query a call: {curves.text(points(figures, k, 'single'))}")
        print()
        mine = results.get("elanus")
        rows = []
        for name, figures in results.items():
            row = [name]
            for recall in AT:
                speed = curves.speed_at(points(figures, k), recall)
                own = curves.speed_at(points(mine, k), recall) if mine else None
                row += [speed or "–", own / speed if own and speed and figures is not mine else "–"]
            cpu, memory = figures.get("build_cpu_seconds"), figures.get("rss_growth_bytes")
            row += [cpu or "–", times(figures, mine, "build_cpu_seconds"),
                    memory / 1e6 if memory else "–", times(figures, mine, "rss_growth_bytes")]
            rows.append(row)
        if any(n.startswith("faiss-pq4") for n in results):
            rows.append(best_pq4(results, mine, k))
        c.show(["", *[h for r in AT for h in (f"QPS at {r:g}", "ours ×")], "build CPU s", "ours ÷", "MB", "ours ÷"], rows)
    if mine := results.get("elanus"):
        default = [p for p in mine["points"] if p["name"] == "default"]
        print("\n  default effort: " + ", ".join(
            f"recall@{p['k']} {p['recall']:.4f} at {p['qps']:,.0f} queries per CPU s" for p in default))
        print(f"  build steps, CPU s: {mine.get('build_steps_cpu_seconds', 'reused')}; "
              f"segments {mine['bytes'] / 1e6:,.0f} MB, of which index {mine['index_bytes'] / 1e6:,.1f} MB")


def times(figures, mine, key):
    if not mine or figures is mine or not figures.get(key) or not mine.get(key):
        return "–"
    return figures[key] / mine[key]


def best_pq4(results, mine, k):
    """faiss PQ4 with whichever number of lists and variant is fastest at each recall."""
    merged = [p for n, f in results.items() if n.startswith("faiss-pq4") for p in points(f, k)]
    row = ["faiss-pq4, best"]
    for recall in AT:
        speed = curves.speed_at(merged, recall)
        own = curves.speed_at(points(mine, k), recall) if mine else None
        row += [speed or "–", own / speed if own and speed else "–"]
    return [*row, "–", "–", "–", "–"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: [n for n in text.split(",") if n]
    parser.add_argument("--sets", type=names, default=["glove100", "pkgtext384", "sift128"],
                        help=f"of {','.join(sets.NAMES)}; the generated ones take long")
    parser.add_argument("--engines", type=names, default=["elanus", *rivals.RIVALS],
                        help=f"of elanus,{','.join(rivals.RIVALS)}")
    parser.add_argument("--k", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU seconds that each setting is measured for, at least")
    parser.add_argument("--segments", type=int, default=1, help="ours in so many segments, not merged")
    parser.add_argument("--single", action="store_true", help="ours also with one query a call")
    parser.add_argument("--rows", type=int, help="only the first so many rows")
    parser.add_argument("--reuse", action="store_true", help="do not build again what is there (no build figures)")
    parser.add_argument("--quick", action="store_true", help="few rows, few settings: whether it works")
    a = parser.parse_args()
    if unknown := [e for e in a.engines if e != "elanus" and e not in rivals.RIVALS]:
        raise SystemExit(f"no such engine: {unknown[0]}; there are elanus, {', '.join(rivals.RIVALS)}")
    if a.quick:
        a.seconds = min(a.seconds, 0.1)
    everything = {}
    for name in a.sets:
        data = sets.prepare(name, a.quick, a.rows)
        results = {}
        for engine in a.engines:
            print(f"{name}: {engine}", file=sys.stderr, flush=True)
            figures = ours(data, a) if engine == "elanus" else rival(engine, data, a)
            if figures:
                results[engine] = figures
        report(data, results, a)
        everything[name] = {"rows": data.rows, "dim": data.dim, "metric": data.metric, "engines": results}
        c.save("recall", everything)
    for k in a.k:
        panels = {n: {e: points(f, k) for e, f in s["engines"].items()} for n, s in everything.items()}
        curves.plot(panels, c.out() / f"recall_at_{k}", f"recall@{k}, one thread")


if __name__ == "__main__":
    main()
