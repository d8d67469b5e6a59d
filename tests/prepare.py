"""Builds all that the tests run, since in their sandbox no package registry is reached."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from learnflow_infra import image_builder
from learnflow_infra.cluster.local import build
from learnflow_infra.findings.failures import Failure
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.services import registry

SECONDS = 3600


def say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    deadline = Deadline(SECONDS)
    with ThreadPoolExecutor(2) as pool:
        cluster = pool.submit(build.programs, deadline, say)
        for service in registry.own():
            if service.recipe:
                image_builder.archive(service.recipe, deadline, say)
        cluster.result()


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        raise SystemExit(str(failure)) from None
