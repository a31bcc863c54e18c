"""A file system that is full, and one that cannot be written: tmpfs of their own, where root may mount."""

import errno
import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from driver import Driver, elanus

# The log takes some 130 MB in files of its own.
SIZE = 400 << 20
LEFT = 300 << 10


class Skip(Exception):
    """Why a scene cannot be played here."""


@contextmanager
def file_system(folder):
    """A small file system, for as long as the scene lasts."""
    mount = Path(folder) / "disk"
    mount.mkdir(parents=True)
    ran = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "elanus-crash", str(mount)],
                         capture_output=True, text=True)
    if ran.returncode != 0:
        raise Skip(f"no file system of its own: {ran.stderr.strip() or 'mount failed'}")
    try:
        yield mount
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False)


def fill(mount):
    """Takes all but a little of the room; the file that does. The server writes meanwhile, so a piece may be refused."""
    ballast = mount / "ballast"
    taken, piece = 0, SIZE
    with open(ballast, "wb") as file:
        while piece > LEFT // 4:
            room = os.statvfs(mount)
            piece = min(piece, room.f_bavail * room.f_frsize - LEFT)
            if piece <= 0:
                break
            try:
                os.posix_fallocate(file.fileno(), taken, piece)
                taken += piece
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                piece //= 2
    return ballast


def full(folder, clients, seed):
    """The disk runs full under load: nothing acknowledged is lost, reads go on, and all heals with the room."""
    begin = time.monotonic()
    with file_system(folder) as mount:
        driver = Driver(mount / "store", clients, seed)
        driver.server.log = Path(folder) / "log"
        driver.start()
        driver.make()
        driver.work(seconds=1.0)
        driver.hear()
        ballast = fill(mount)
        driver.work(strict=False, seconds=4.0)
        driver.hear()
        refused = dict(driver.refused)
        if not refused:
            driver.fault("wrong", "the disk was full and no request was refused")
        if not driver.server.running():
            driver.fault("ended", f"the server ended when the disk was full: {driver.server.tail(3)}")
            driver.start()
        driver.check()
        ballast.unlink()
        healed = heals(driver)
        driver.check()
        # Full once more, and killed like this.
        ballast = fill(mount)
        driver.work(strict=False, seconds=2.0)
        driver.hear()
        driver.server.kill()
        started = starts_or_says_why(driver)
        ballast.unlink()
        if not driver.server.running():
            driver.start()
        driver.check()
        driver.work(seconds=1.0)
        driver.hear()
        driver.check()
        driver.stop()
        driver.verify()
        print(f"full disk: refused by code {refused}; {healed}; started full: {started}; "
              f"{time.monotonic() - begin:.0f} s")
        return driver.close()


def heals(driver):
    """Once there is room again writes go on, at best without a restart."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        before = driver.done["upsert"] + driver.done["insert"]
        driver.work(strict=False, seconds=0.5)
        driver.hear()
        if driver.done["upsert"] + driver.done["insert"] > before:
            return "healed without a restart"
    # The room that is kept free was taken in one go, in the middle of a group of the log: the one case that asks for a
    # restart, and says so (see TRUST.md).
    torn = "the write-ahead log failed" in Path(driver.server.log).read_text(errors="replace")
    if not torn:
        driver.fault("wrong", "there was room again for 20 s, and writes were still refused")
    driver.server.kill()
    driver.start()
    return "healed only by a restart" + (", the log had met the full disk" if torn else "")


def starts_or_says_why(driver):
    """A start on a full disk works, or ends with the reason."""
    try:
        driver.server.start(timeout=20)
        driver.check()
        return "yes"
    except RuntimeError as error:
        said = str(error).lower()
        if driver.server.running():
            driver.fault("ended", f"neither an answer nor an end on a full disk: {error}")
            driver.server.kill()
        elif not any(word in said for word in ("space", "full", "enospc")):
            driver.fault("wrong", f"it did not start on a full disk, and did not say why: {error}")
        return "no, and said why"


def read_only(folder, clients, seed):
    """A store on a file system that cannot be written is refused, can be verified, and is whole afterwards."""
    begin = time.monotonic()
    with file_system(folder) as mount:
        driver = Driver(mount / "store", clients, seed)
        driver.server.log = Path(folder) / "log"
        driver.start()
        driver.make()
        driver.work(seconds=1.0)
        driver.hear()
        driver.server.kill()
        subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
        try:
            driver.server.start(timeout=20)
            driver.fault("wrong", "it serves a store that it cannot write")
            driver.server.kill()
        except RuntimeError as error:
            if driver.server.running():
                driver.fault("ended", f"neither an answer nor an end on a read-only disk: {error}")
                driver.server.kill()
            elif "read-only" not in str(error).lower():
                driver.fault("wrong", f"it does not say that the file system is read-only: {error}")
        ran = elanus("verify", driver.server.data)
        if ran.returncode != 0:
            driver.fault("wrong", f"verify of a read-only store: {ran.stdout[-1000:]}{ran.stderr[-1000:]}")
        subprocess.run(["mount", "-o", "remount,rw", str(mount)], check=True)
        driver.start()
        driver.check()
        driver.stop()
        driver.verify()
        print(f"read-only disk: refused, verified, whole afterwards; {time.monotonic() - begin:.0f} s")
        return driver.close()
