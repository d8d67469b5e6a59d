"""Builds all that the tests run, since in their sandbox no package registry is reached."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from learnflow_infra import image_builder
from learnflow_infra.cluster.local import build
from learnflow_infra.findings.failures import Failure
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.services.kafka.image import RECIPE as KAFKA
from learnflow_infra.services.postgres.image import RECIPE as POSTGRES

sys.path.insert(0, str(Path(__file__).with_name("third_service")))
from learnflow_valkey.image import RECIPE as VALKEY

SECONDS = 3600


def say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    deadline = Deadline(SECONDS)
    with ThreadPoolExecutor(2) as pool:
        cluster = pool.submit(build.programs, deadline, say)
        for recipe in (KAFKA, POSTGRES, VALKEY):
            image_builder.archive(recipe, deadline, say)
        cluster.result()


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        raise SystemExit(str(failure)) from None
