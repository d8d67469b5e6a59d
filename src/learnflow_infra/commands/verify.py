"""`verify`: the proof alone, read-only apart from its own probe data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from learnflow_infra import cluster
from learnflow_infra.commands import Request, reported_cluster
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.pipeline.prove import prove
from learnflow_infra.report import Report


def verify(request: Request) -> Report:
    """Prove the services side by side."""
    settings, deadline = request.settings, request.deadline
    services = request.services
    provider = cluster.running(cluster.choose(settings.cluster, deadline), deadline)
    with (
        Kube(provider.kubectl, provider.context, deadline) as kube,
        ThreadPoolExecutor(len(services)) as pool,
    ):
        for service in services:  # while kubectl comes up
            service.load_client()
        verdicts = list(pool.map(lambda each: prove(kube, settings, each, deadline), services))
    return Report("verify", verdicts, cluster=reported_cluster(provider, settings))
