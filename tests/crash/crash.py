"""`cargo xtask crash`: the real server and real clients, killed again and again.

Ends with one line, `crash: N passed, N failed, N skipped`: the kills, the full disk, the read-only disk.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import disks  # noqa: E402
from kills import kills  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--folder", help="where the stores are made; default: the folder for temporary files")
    parser.add_argument("--only", choices=["kills", "full", "read_only"])
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="elanus-crash-", dir=given.folder))
    scenes = {
        "kills": lambda: kills(folder / "kills", given.kills, given.clients, given.seed),
        "full": lambda: disks.full(folder / "full", 2, given.seed),
        "read_only": lambda: disks.read_only(folder / "read_only", 2, given.seed),
    }
    print(f"seed {given.seed}", flush=True)
    passed = failed = skipped = 0
    for name, play in scenes.items():
        if given.only in (None, name):
            (folder / name).mkdir()
            try:
                well = play()
                passed, failed = passed + well, failed + (not well)
            except disks.Skip as why:
                print(f"{name}: skipped: {why}")
                skipped += 1
            except SystemExit as error:
                print(f"{name}: {error}")
                failed += 1
    print(f"\ncrash: {passed} passed, {failed} failed, {skipped} skipped")
    if not failed:
        for path in sorted(folder.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        folder.rmdir()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
