"""Builds all that the tests run, since in their sandbox no package registry is reached."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from learnflow_infra import images
from learnflow_infra.cluster.local import build
from learnflow_infra.deadline import Deadline
from learnflow_infra.failures import Failure

SECONDS = 3600


def say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    deadline = Deadline(SECONDS)
    with ThreadPoolExecutor(2) as pool:
        cluster = pool.submit(build.programs, deadline, say)
        for reference in images.references():
            images.archive(reference, deadline, say)
        cluster.result()


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        raise SystemExit(str(failure)) from None
