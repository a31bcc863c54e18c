"""Curves of recall and speed: the best of each, speed at a recall, pictures."""

import math


def best(points):
    """The points that no other beats in both recall and speed, by rising recall."""
    kept, top = [], 0.0
    for recall, qps in sorted(points, key=lambda p: (-p[0], -p[1])):
        if qps > top:
            kept.append((recall, qps))
            top = qps
    return kept[::-1]


def speed_at(points, recall):
    """Queries per second at a recall: between neighbours the logarithm of the speed is linear in the recall.
    Nothing is guessed beyond the ends: below the first point its speed holds, above the last there is none."""
    curve = best(points)
    if not curve or curve[-1][0] < recall:
        return None
    if curve[0][0] >= recall:
        return curve[0][1]
    for (r0, q0), (r1, q1) in zip(curve, curve[1:]):
        if r0 < recall <= r1:
            share = (recall - r0) / (r1 - r0)
            return math.exp(math.log(q0) + share * (math.log(q1) - math.log(q0)))
    return None


def text(points):
    """A curve in a line: recall@speed."""
    return " ".join(f"{recall:.4f}@{qps:,.0f}" for recall, qps in best(points))


def plot(panels, stem, title):
    """Draws panels {name: {method: points}} into STEM.svg and STEM.png; where matplotlib is missing, says so."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not there")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(panels), figsize=(6 * len(panels), 5), squeeze=False)
    for axis, (name, methods) in zip(axes[0], panels.items()):
        for method, points in methods.items():
            curve = [p for p in best(points) if p[0] >= 0.8]
            style = {"linewidth": 2.5, "color": "black", "marker": "o"} if method.startswith("elanus") else {"marker": "."}
            # The horizontal axis gives each further "nine" the same room.
            axis.plot([-math.log10(max(1 - r, 1e-4)) for r, _ in curve], [q for _, q in curve], label=method, **style)
        ticks = [0.8, 0.9, 0.95, 0.99, 0.999, 0.9999]
        axis.set_xticks([-math.log10(1 - t) for t in ticks], [f"{t:g}" for t in ticks])
        axis.set(yscale="log", xlabel="recall", ylabel="queries per CPU second", title=name)
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=8)
    figure.suptitle(title)
    figure.tight_layout()
    for kind in ("svg", "png"):
        figure.savefig(f"{stem}.{kind}", dpi=120)
    plt.close(figure)
    print(f"drawn: {stem}.svg and .png")
