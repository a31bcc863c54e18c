"""Whether recall lasts: 50 rounds of 2 % churn beside a fresh build, and rows that training never saw.

`churn`: half of a set's rows are live; each round deletes 2 % of them by chance, inserts as many new ones,
flushes and does the compaction that is due. Then the same live rows are built freshly. `unseen`: rows belong
to the nearest of 100 of them; those of half of these neighbourhoods come first, are flushed and merged, and
train whatever is trained; then the other half comes. Recall is shown for all queries and for those of which
the nearest row came late, before and after merging, beside the same rows in random order.
Recall@10 at each effort asked, `default` first; one thread, CPU time.
"""

import argparse

import numpy as np

import _ann as ann
import _common as c
import _sets as sets


def asked(a):
    return [ann.search(effort, 10, a.seconds, name=str(effort or "default")) for effort in (None, *a.efforts)]


def read(data, lines, truth, x, y, among=None):
    """Recall and speed of each search line, over all queries or some."""
    some = slice(None) if among is None else among
    return {line["name"]: {"recall": sets.recall(data, line["found"][some], truth[some], 10, x, y[some]),
                           "qps": line["qps"], "segments": line["segments"]} for line in lines if line["do"] == "search"}


def folder(data, name):
    return sets.cache() / "elanus" / f"{data.folder.name}-{name}"


def churn(data, a):
    """Rounds over one store, then the rows that remain in a fresh one."""
    rng = np.random.default_rng(3)
    mixed = sets.derive(data, "mixed", rng.permutation(data.rows))
    x, y = mixed.x(), mixed.y()
    live = np.arange(data.rows // 2)
    part = int(len(live) * a.share)
    rounds = min(a.rounds, (data.rows - len(live)) // part)
    steps, come = ann.build(len(live)), len(live)
    for _ in range(rounds):
        gone = rng.choice(len(live), part, replace=False)
        steps += [{"do": "delete", "keys": live[gone].tolist()}, ann.insert(come, come + part), {"do": "flush"}, {"do": "compact"}]
        live = np.concatenate([np.delete(live, gone), np.arange(come, come + part)])
        come += part
    keep = np.zeros(data.rows, bool)
    keep[live] = True
    truth = sets.exact(mixed.metric, x, y, 10, keep)
    store = ann.Store(mixed, folder(data, "churn"))
    store.run(*steps)
    lines = store.run(*asked(a))
    if lines[-1]["live_rows"] != len(live):
        raise SystemExit(f"{lines[-1]['live_rows']} live rows instead of {len(live)}")
    if not all(keep[line["found"][line["found"] >= 0]].all() for line in lines if "found" in line):
        raise SystemExit("a deleted row was found")
    churned = read(mixed, lines, truth, x, y)
    store.remove()
    fresh_set = sets.derive(mixed, "live", np.sort(live))
    store = ann.Store(fresh_set, folder(data, "fresh"))
    store.run(*ann.build(fresh_set.rows))
    fresh = read(fresh_set, store.run(*asked(a)), fresh_set.truth(), fresh_set.x(), fresh_set.y())
    store.remove()
    return rounds, part, churned, fresh


def unseen(data, a):
    """Half of the neighbourhoods first, the rest later."""
    x = data.x()
    rng = np.random.default_rng(19)
    centres = x[rng.choice(len(x), min(100, len(x)), replace=False)]
    late = rng.permutation(len(centres))[: len(centres) // 2]
    is_late = np.isin(sets.exact(data.metric, centres, x, 1)[:, 0], late)
    mix = rng.permutation(len(x))
    order = np.concatenate([mix[~is_late[mix]], mix[is_late[mix]]])
    first = int((~is_late).sum())
    apart = sets.derive(data, "halves", order)
    x, y, truth = apart.x(), apart.y(), apart.truth()
    of_late = np.flatnonzero(truth[:, 0] >= first)
    store = ann.Store(apart, folder(data, "halves"))
    store.run(*ann.build(first))
    results = {}
    for stage, steps in (("late half flushed", [ann.insert(first, data.rows), {"do": "flush"}]),
                         ("after due compaction", [{"do": "compact"}]), ("merged", [{"do": "compact", "all": True}])):
        store.run(*steps)
        lines = store.run(*asked(a))
        results[stage] = (read(apart, lines, truth, x, y), read(apart, lines, truth, x, y, of_late))
    store.remove()
    whole = sets.derive(data, "random-order", mix)
    x, truth = whole.x(), whole.truth()
    of_late = np.flatnonzero(is_late[mix][truth[:, 0]])
    store = ann.Store(whole, folder(data, "whole"))
    store.run(*ann.build(data.rows))
    lines = store.run(*asked(a))
    results["random order, merged"] = (read(whole, lines, truth, x, y), read(whole, lines, truth, x, y, of_late))
    store.remove()
    return results, first, len(of_late)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=lambda t: t.split(","), default=["glove100", "pkgtext384"])
    parser.add_argument("--parts", type=lambda t: t.split(","), default=["churn", "unseen"])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--share", type=float, default=0.02, help="share of the live rows replaced in a round")
    parser.add_argument("--efforts", type=lambda t: [float(e) for e in t.split(",")], default=[0.9, 0.95, 0.99])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--quick", action="store_true", help="few rows and rounds: whether it works")
    a = parser.parse_args()
    if a.quick:
        a.rounds, a.seconds = min(a.rounds, 5), min(a.seconds, 0.1)
    saved = {}
    for name in a.sets:
        data = sets.prepare(name, a.quick)
        saved[name] = {}
        if "churn" in a.parts:
            rounds, part, churned, fresh = churn(data, a)
            saved[name]["churn"] = {"rounds": rounds, "rows": part, "churned": churned, "fresh": fresh}
            segments = next(iter(churned.values()))["segments"]
            print(f"\n{name}: {rounds} rounds of {part:,} rows deleted and inserted, {segments} segment(s) at the end\n")
            c.show(["effort", "recall@10 churned", "fresh", "points lost", "QPS churned", "fresh"], [
                [effort, f"{f['recall']:.4f}", f"{fresh[effort]['recall']:.4f}",
                 f"{100 * (fresh[effort]['recall'] - f['recall']):+.2f}", f["qps"], fresh[effort]["qps"]]
                for effort, f in churned.items()])
        if "unseen" in a.parts:
            results, first, queries = unseen(data, a)
            saved[name]["unseen"] = results
            print(f"\n{name}: {first:,} of {data.rows:,} rows first, the other neighbourhoods later; {queries} queries belong to them\n")
            c.show(["", "effort", "segments", "recall@10", "late ones' recall@10", "QPS"], [
                [stage, effort, f["segments"], f"{f['recall']:.4f}", f"{some[effort]['recall']:.4f}", f["qps"]]
                for stage, (every, some) in results.items() for effort, f in every.items()])
        c.save("churn", saved)


if __name__ == "__main__":
    main()
