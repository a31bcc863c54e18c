"""kill -9 at random moments, under load, during recovery, and SIGTERM now and then."""

import random
import time

from driver import Driver

VERIFY_EVERY = 10


def kills(folder, count, clients, seed):
    """Kills a server under load `count` times and checks everything after each; whether all was well."""
    draw = random.Random(f"{seed} kills")
    begin = time.monotonic()
    driver = Driver(folder, clients, seed)
    driver.start()
    driver.make()
    killed = {"under load": 0, "while it started": 0}
    terms = rows = verified = 0
    while sum(killed.values()) < count:
        driver.work()
        time.sleep(draw.choice([draw.uniform(0.05, 0.6), draw.uniform(0.4, 2.0)]))
        if draw.random() < 0.1:
            driver.stop()
            terms += 1
        else:
            driver.server.kill()
            killed["under load"] += 1
        driver.hear()
        while draw.random() < 0.15 and sum(killed.values()) < count:
            driver.server.spawn()
            time.sleep(draw.uniform(0.0, 0.25))
            driver.server.kill()
            killed["while it started"] += 1
        if sum(killed.values()) // VERIFY_EVERY > verified:
            verified += 1
            driver.verify()
        driver.start()
        rows = driver.check()
        if sum(killed.values()) // VERIFY_EVERY > (sum(killed.values()) - 1) // VERIFY_EVERY or count <= 10:
            print(f"{sum(killed.values()):>5} kills, {sum(driver.done.values()):>8} operations acknowledged, "
                  f"{rows:>6} rows, {losses(driver)}, {time.monotonic() - begin:.0f} s", flush=True)
    driver.stop()
    driver.verify()
    print(f"\n{count} kills ({', '.join(f'{n} {where}' for where, n in killed.items() if n)}), {terms + 1} SIGTERM, "
          f"{verified + 1} times verified")
    print(f"operations acknowledged: {sum(driver.done.values())} "
          f"({', '.join(f'{n} {kind}' for kind, n in driver.done.most_common())})")
    starts = sorted(driver.starts)
    print(f"from start to answer: median {starts[len(starts) // 2]:.2f} s, longest {starts[-1]:.2f} s")
    print(f"{losses(driver)}; {rows} rows at the end, {time.monotonic() - begin:.0f} s, seed {seed}")
    return driver.close()


def losses(driver):
    shown = [f"{driver.found[kind]} {kind}" for kind in ("lost", "doubled", "revived", "torn")]
    others = [f"{n} {kind}" for kind, n in driver.found.items() if n and f"{n} {kind}" not in shown]
    return ", ".join(shown + others)
