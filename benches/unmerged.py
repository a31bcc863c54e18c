"""Search over 10 segments that were never merged, beside the same rows in one segment: speed at equal recall.

Rows come in equal parts, each flushed, with compaction off; then everything is merged. One thread, CPU time,
all queries in one call; the efforts make a curve, and speeds at recall .95 and .99 are read off it.
"""

import argparse

import _ann as ann
import _common as c
import _curves as curves
import _sets as sets

AT = [0.95, 0.99]


def measure(data, a):
    """The points of both layouts: {segments: [(recall, qps, effort)]}."""
    store = ann.Store(data, sets.cache() / "elanus" / f"{data.folder.name}-unmerged")
    efforts = ann.FEW if a.quick else ann.EFFORTS
    asked = [ann.search(effort, a.k, a.seconds, a.mode) for effort in efforts]
    truth, x, y, found = data.truth(), data.x(), data.y(), {}
    for steps in (ann.build(data.rows, a.segments), [{"do": "compact", "all": True}]):
        store.run(*steps)
        lines = store.run(*asked)[1:]
        points = [(sets.recall(data, line["found"], truth, a.k, x, y), line["qps"], line["effort"]) for line in lines]
        found[lines[-1]["segments"]] = points
    store.remove()
    if set(found) != {1, a.segments}:
        raise SystemExit(f"segments: {sorted(found)} instead of {a.segments} and 1")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=lambda t: t.split(","), default=["glove100", "pkgtext384"])
    parser.add_argument("--segments", type=int, default=10)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--mode", choices=["batch", "single"], default="batch")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--quick", action="store_true", help="few rows, few settings: whether it works")
    a = parser.parse_args()
    if a.segments < 2:
        raise SystemExit("--segments: at least 2, or there is nothing to compare")
    if a.quick:
        a.seconds = min(a.seconds, 0.1)
    rows, saved = [], {}
    for name in a.sets:
        data = sets.prepare(name, a.quick)
        found = saved[name] = measure(data, a)
        plain = {segments: [(recall, qps) for recall, qps, _ in points] for segments, points in found.items()}
        for segments, points in plain.items():
            print(f"{name}, {segments} segment(s): {curves.text(points)}")
        for recall in AT:
            merged, apart = (curves.speed_at(plain[s], recall) for s in (1, a.segments))
            rows.append([f"{name} at recall@{a.k} {recall:g}", merged or "–", apart or "–",
                         f"{apart / merged:.0%}" if merged and apart else "–"])
    print(f"\nqueries per CPU second, {a.mode}\n")
    c.show(["", "merged", f"{a.segments} segments", "share kept"], rows)
    c.save("unmerged", saved)


if __name__ == "__main__":
    main()
