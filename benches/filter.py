"""Filtered search: selectivities .01 % to 50 %, by chance and tied to the vectors; ours at default effort.

`random`: the filter's column has nothing to do with the vectors. `correlated`: rows are sorted by the nearest
of 100 of them and the filter takes the first so many, so that whole neighbourhoods match or do not; the
queries come from everywhere. Beside ours: faiss HNSW16 with a bitmap (the smallest efSearch with recall ≥ .95,
or the best recall there is) and faiss flat with the same bitmap. One thread, CPU time; recall@10. Answers
shorter than min(k, matches) are counted: there must be none.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np

import _ann as ann
import _common as c
import _rivals as rivals
import _sets as sets

SHARES = [0.0001, 0.001, 0.01, 0.1, 0.5]
SPAN = 1_000_000
RECALL = 0.95
EFS = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096]


def columns(data):
    """Writes two columns of ranks in 0..SPAN: by chance, and along 100 neighbourhoods in random order."""
    x = data.x()
    rng = np.random.default_rng(17)
    centres = x[rng.choice(len(x), min(100, len(x)), replace=False)]
    nearest = sets.exact(data.metric, centres, x, 1)[:, 0]
    place = rng.permutation(len(centres))[nearest]
    made = {}
    for name, order in (("random", rng.permutation(len(x))), ("correlated", np.lexsort((rng.random(len(x)), place)))):
        rank = np.empty(len(x), "<i8")
        rank[order] = np.arange(len(x)) * SPAN // len(x)
        made[name] = data.folder / f"{name}.i64"
        rank.tofile(made[name])
    return made


def cases(data, a):
    """(kind, share, mask) of each filter that matches something."""
    for kind, path in columns(data).items():
        rank = np.fromfile(path, "<i8")
        for share in a.shares:
            mask = rank < int(share * SPAN)
            if mask.any():
                yield kind, share, mask


def ours(data, a, truths):
    store = ann.Store(data, sets.cache() / "elanus" / f"{data.folder.name}-filter", columns=columns(data))
    store.run(*ann.build(data.rows, a.segments))
    steps = [ann.search(a.effort, 10, a.seconds, mode, below=(kind, share * SPAN), name=f"{kind} {share}")
             for (kind, share) in truths for mode in ("batch", "single")]
    lines = store.run(*steps)[1:]
    store.remove()
    x, y, found = data.x(), data.y(), {}
    for line, (key, mode) in zip(lines, [(key, mode) for key in truths for mode in ("batch", "single")]):
        truth, matches = truths[key]
        answers = (line["found"] >= 0).sum(axis=1)
        figures = found.setdefault(key, {"matches": matches})
        figures[f"{mode}_qps"] = line["qps"]
        if mode == "batch":
            figures["recall"] = sets.recall(data, line["found"], truth, 10, x, y)
            figures["short"] = int((answers < min(10, matches)).sum())
            figures["rows_scanned"] = line["rows_scanned"] / len(y)
    return found


def rival(name, data, a):
    """Runs a rival in a process of its own: {(kind, share): [figures of each setting]}."""
    out = sets.cache() / "rivals" / data.folder.name / "faiss-hnsw"
    if name == "faiss-hnsw" and not (out / "index").is_file():
        program = str(Path(__file__).with_name("_rivals.py"))
        subprocess.run([sys.executable, program, "build", name, str(data.folder), str(out)],
                       check=True, stdout=subprocess.DEVNULL)
    options = {"name": name, "set": str(data.folder), "index": str(out / "index"), "seconds": a.seconds,
               "shares": a.shares, "quick": a.quick}
    ran = subprocess.run([sys.executable, __file__, "--rival", json.dumps(options)], stdout=subprocess.PIPE, text=True)
    if ran.returncode:
        raise SystemExit(f"{name} failed")
    found = {}
    for line in map(json.loads, ran.stdout.splitlines()):
        found.setdefault((line["kind"], line["share"]), []).append(line)
    return found


def run_rival(o):
    """The process of a rival: prints a line for each filter and setting."""
    import faiss

    faiss.omp_set_num_threads(1)
    data = sets.Set(o["set"])
    x, y = data.x(), data.y()
    if o["name"] == "faiss-flat":
        y = y[:200]  # each takes as long as the other
        index = faiss.IndexFlat(data.dim, faiss.METRIC_L2 if data.metric == "L2" else faiss.METRIC_INNER_PRODUCT)
        index.add(x)
        settings = [0]
    else:
        index = faiss.read_index(o["index"])
        settings = EFS[::3] if o["quick"] else EFS
    for kind, share, mask in cases(data, argparse.Namespace(shares=o["shares"])):
        bits = np.packbits(mask, bitorder="little")
        truth = sets.exact(data.metric, x, y, 10, mask)
        for ef in settings:
            chosen = faiss.IDSelectorBitmap(bits)
            params = faiss.SearchParametersHNSW(efSearch=ef, sel=chosen) if ef else faiss.SearchParameters(sel=chosen)
            index.search(y[:10], 10, params=params)
            cpu, passes = time.process_time(), 0
            while passes == 0 or time.process_time() - cpu < o["seconds"]:
                ids = index.search(y, 10, params=params)[1]
                passes += 1
            cpu = time.process_time() - cpu
            recall = sets.recall(data, ids, truth, 10, x, y)
            print(json.dumps({"kind": kind, "share": share, "ef": ef, "recall": recall, "qps": passes * len(y) / cpu}))
            if recall >= RECALL:
                break


def chosen(lines):
    """The first setting that reaches the recall, else the one with the best recall."""
    good = [line for line in lines if line["recall"] >= RECALL]
    return good[0] if good else max(lines, key=lambda line: (line["recall"], line["qps"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: [n for n in text.split(",") if n]
    parser.add_argument("--sets", type=names, default=["glove100", "pkgtext384"])
    parser.add_argument("--shares", type=lambda t: [float(s) for s in t.split(",")], default=SHARES)
    parser.add_argument("--effort", type=float, help="ours; without: the default")
    parser.add_argument("--segments", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--only", choices=["elanus", "faiss-hnsw", "faiss-flat"])
    parser.add_argument("--quick", action="store_true", help="few rows, few settings: whether it works")
    parser.add_argument("--rival", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.rival:
        return run_rival(json.loads(a.rival))
    if a.quick:
        a.seconds = min(a.seconds, 0.1)
    saved = {}
    for name in a.sets:
        data = sets.prepare(name, a.quick)
        x, y = data.x(), data.y()
        truths = {(kind, share): (sets.exact(data.metric, x, y, 10, mask), int(mask.sum()))
                  for kind, share, mask in cases(data, a)}
        mine = ours(data, a, truths) if a.only in (None, "elanus") else {}
        hnsw, flat = ({key: chosen(lines) for key, lines in rival(r, data, a).items()} if a.only in (None, r) else {}
                      for r in ("faiss-hnsw", "faiss-flat"))
        rows = []
        for (kind, share), (_, matches) in truths.items():
            our, graph, scan = (found.get((kind, share)) for found in (mine, hnsw, flat))
            ratio = lambda other: our["batch_qps"] / other["qps"] if our and other else "–"
            rows.append([f"{kind} {share:.2%}", matches,
                         *([f"{our['recall']:.4f}", our["batch_qps"], our["single_qps"], our["short"]] if our else ["–"] * 4),
                         *([f"{graph['recall']:.4f}", graph["ef"], graph["qps"], ratio(graph)] if graph else ["–"] * 4),
                         *([scan["qps"], ratio(scan)] if scan else ["–"] * 2)])
        effort = "default effort" if a.effort is None else f"effort {a.effort}"
        print(f"\n{data.name}: {data.rows:,} × {data.dim}-d, {data.metric}, recall@10, ours at {effort}, one thread\n")
        c.show(["filter", "matches", "ours: recall", "QPS", "QPS, one a call", "short", "HNSW+bitmap: recall", "ef", "QPS",
                "ours ×", "flat+bitmap: QPS", "ours ×"], rows)
        saved[name] = [{"kind": kind, "share": share, "ours": mine.get((kind, share)), "faiss_hnsw": hnsw.get((kind, share)),
                        "faiss_flat": flat.get((kind, share))} for kind, share in truths]
        c.save("filter", saved)
        if any(our["short"] for our in mine.values()):
            raise SystemExit("some answers are shorter than min(k, matches)")


if __name__ == "__main__":
    main()
