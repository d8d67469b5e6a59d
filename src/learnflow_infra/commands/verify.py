"""`verify`: the proof alone, read-only apart from its own probe data."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from learnflow_infra import cluster
from learnflow_infra.commands import Request, cluster_line, reported_cluster
from learnflow_infra.findings.verdict import Verdict
from learnflow_infra.pipeline import lease
from learnflow_infra.pipeline.prove import prove
from learnflow_infra.report import Report
from learnflow_infra.services import Service

_KUBELET_SECONDS = 10.0  # after a start it knows its pods within three
_AGAIN_SECONDS = 0.2


def verify(request: Request) -> Report:
    """Prove the services side by side."""
    settings, deadline = request.settings, request.deadline
    services = request.services
    provider = cluster.running(cluster.choose(settings.cluster, deadline), deadline)
    with (
        request.api(provider) as kube,
        ThreadPoolExecutor(len(services) + 1) as pool,
    ):
        for service in services:  # while kubectl comes up
            service.load_client()
        returning = deadline.within(_KUBELET_SECONDS)

        def proved(service: Service) -> Verdict:
            while True:
                verdict = prove(kube, settings, service, deadline)
                codes = {each.code for each in verdict.findings}
                if codes != {"kubelet-unavailable"} or returning.passed():
                    return verdict
                time.sleep(_AGAIN_SECONDS)

        changing = pool.submit(lease.under_way, kube, settings)
        verdicts = list(pool.map(proved, services))
        notes = changing.result()
    lines = [*notes, cluster_line(provider, settings)]
    where = reported_cluster(provider, settings)
    return Report("verify", verdicts, cluster=where, lines=lines, details={"notes": notes})
