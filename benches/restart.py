"""Restart after kill -9: 500,000 rows flushed, 100,000 in the log. Time to the first right answer.

The clock runs from the start of the process to the arrival of a right answer to two searches: one
for a row that lies in a segment, one for a row that has to come out of the log.
"""

import argparse
import shutil
import time

import _common as c


def load(server, name, start, x, batch=1000):
    stub = c.stub(server.address)
    for s in range(0, len(x), batch):
        c.check(stub.Insert(c.insert_request(name, start + s, x[s:s + batch]), timeout=300))


def first_answers(server, questions):
    """Starts the server; seconds until it listens, and until it has answered each question rightly."""
    import grpc

    start = time.monotonic()
    server.spawn()
    c.wait_port(server.port, server.process)
    listens = time.monotonic() - start
    stub, times = c.stub(server.address), []
    for key, vector in questions:
        request = c.search_request("bench", vector)
        while True:
            try:
                answer = stub.Search(request, timeout=60)
            except grpc.RpcError:
                time.sleep(0.005)
                continue
            if answer.status.code == 0:
                break
            time.sleep(0.005)
        got = list(answer.results.ids.int_id.data)
        if got != [key]:
            raise SystemExit(f"a wrong answer: {got} instead of {key}")
        times.append(time.monotonic() - start)
    return listens, times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flushed", type=int, default=500_000)
    parser.add_argument("--log", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--drop-caches", action="store_true", help="empty the page cache before (root)")
    arguments = parser.parse_args()
    from pymilvus import MilvusClient

    server = c.Elanus().start()
    try:
        client = MilvusClient(f"http://{server.address}", timeout=600)
        c.create(client, "bench", arguments.dim)
        some = {}
        for part, start in enumerate(range(0, arguments.flushed, 50_000)):
            x = c.vectors(min(50_000, arguments.flushed - start), arguments.dim, seed=part)
            some[start + 7] = x[7]
            load(server, "bench", start, x)
        client.flush("bench")
        c.compact(client, "bench")
        c.wait_quiet(server.process.pid)
        x = c.vectors(arguments.log, arguments.dim, seed=1000)
        load(server, "bench", arguments.flushed, x)
        some[arguments.flushed + arguments.log - 1] = x[-1]
        questions = [list(some.items())[0], list(some.items())[-1]]
        rows, figures = [], []
        for turn in range(arguments.times):
            server.kill()
            if arguments.drop_caches:
                import os

                os.sync()
                open("/proc/sys/vm/drop_caches", "w").write("3")
            listens, times = first_answers(server, questions)
            counted = MilvusClient(f"http://{server.address}", timeout=600).query(
                "bench", output_fields=["count(*)"])[0]["count(*)"]
            if counted != arguments.flushed + arguments.log:
                raise SystemExit(f"{counted} rows after the restart")
            figures.append({"listens_s": listens, "first_s": times[0], "both_s": times[1]})
            rows.append([f"restart {turn + 1}", listens, *times])
        print(f"\n{arguments.flushed:,} rows flushed, {arguments.log:,} in the log, {arguments.dim}-d; seconds\n")
        c.show(["", "listens", "a row of a segment", "and a row of the log"], rows)
        c.save("restart", figures)
    finally:
        server.kill()
        shutil.rmtree(server.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
