"""`doctor`: the machine and the cluster, before anything is deployed. It changes nothing."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from learnflow_infra import cluster
from learnflow_infra.cluster import Provider, candidates, deployments, policies
from learnflow_infra.commands import Request, reported_cluster
from learnflow_infra.diagnosis.evidence import explain
from learnflow_infra.findings.failures import Failure, finding, some
from learnflow_infra.host import machine, paths
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import CommandFailed, run
from learnflow_infra.kubernetes import manifests, resources, versions
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.errors import ApiError
from learnflow_infra.kubernetes.objects import at, by_name, condition, name_of
from learnflow_infra.pipeline.capacity import check_capacity, is_default
from learnflow_infra.report import Check, Report
from learnflow_infra.services import servers
from learnflow_infra.settings import mebibytes, shown

_SECONDS = 20.0  # for all probes, side by side
_ASKING = 8
_GIB = 2**30
_CLUSTER_BYTES = _GIB  # what Kubernetes itself takes on a node
_DISK_BYTES = 5 * _GIB  # images, the node's state and two small volumes
_MOST_NAMED = 4
_NEWER = "Use a newer one, such as `minikube start --kubernetes-version=stable`."

Probe = Callable[[], Iterable[Check]]


def doctor(request: Request) -> Report:
    """Look at everything side by side. The exit code is that of the first FAIL."""
    deadline = request.deadline.within(_SECONDS, "a check")
    provider: Provider | None = None
    state, obstacle = "absent", None
    try:
        provider = cluster.choose(request.settings.cluster, deadline)
        state = provider.state(deadline)
    except Failure as failure:
        obstacle = failure
    probes: list[tuple[str, Probe]] = [
        ("python", lambda: [Check("python", platform.python_version())]),
        ("settings", lambda: [Check("settings", shown(request.settings.file))]),
        ("minikube", lambda: [_candidate("minikube", candidates.minikube, deadline)]),
        ("local cluster", lambda: [_candidate("local cluster", candidates.local, deadline)]),
        ("memory", lambda: [_memory(request, running=state == "running")]),
        ("disk", lambda: [_disk()]),
        ("encryption", lambda: [_encryption(request)]),
        ("cluster", lambda: _cluster(request, provider, state, obstacle, deadline)),
    ]
    with ThreadPoolExecutor(len(probes)) as pool:
        checks = [each for found in pool.map(lambda one: _told(*one), probes) for each in found]
    where = reported_cluster(provider, request.settings) if provider else {}
    return Report("doctor", cluster=where, checks=checks)


def _told(name: str, probe: Probe) -> Sequence[Check]:
    """What a probe says; one that fails says so itself."""
    try:
        return list(probe())
    except ApiError as error:
        return [
            Check(
                name,
                f"could not be checked: {error.findings[0].message}",
                "warn",
                error.findings[0].remedy,
            )
        ]
    except Failure as failure:
        return [Check.failed(name, each) for each in failure.findings]


def _candidate(
    name: str, look: Callable[[Deadline], tuple[bool, str]], deadline: Deadline
) -> Check:
    usable, message = look(deadline)
    return Check(name, message, "ok" if usable else "-")


def _memory(request: Request, *, running: bool) -> Check:
    whole, free = machine.memory()
    message = f"{machine.processors()} CPUs, {whole / _GIB:.1f} GiB"
    if free is None:
        return Check("memory", message)
    message += f", {free / _GIB:.1f} available"
    settings = request.settings
    wanted = sum(
        len(service.pods(settings)) * mebibytes(settings.services[service.name].memory) << 20
        for service in request.services
    )
    if running or free >= wanted + _CLUSTER_BYTES:
        return Check("memory", message)
    needed = (wanted + _CLUSTER_BYTES) / _GIB
    remedy = 'End other programs, or set size = "small" in infra.toml.'
    return Check(
        "memory", f"{message}; a cluster with the services takes {needed:.1f}", "warn", remedy
    )


def _disk() -> Check:
    folder = paths.cache()
    free = machine.disk(folder)
    message = f"{free / _GIB:.0f} GiB free for {folder}"
    if free >= _DISK_BYTES:
        return Check("disk", message)
    return Check("disk", message, "warn", f"Free disk space: {_DISK_BYTES // _GIB} GiB are needed.")


def _encryption(request: Request) -> Check:
    if request.settings.security.encryption:
        return Check("encryption", "on")
    remedy = "Set encryption = true under [security] in infra.toml, and run `learnflow-infra up`."
    return Check("encryption", "off: anyone on the network path can read the data", "warn", remedy)


def _cluster(
    request: Request,
    provider: Provider | None,
    state: str,
    obstacle: Failure | None,
    deadline: Deadline,
) -> Iterable[Check]:
    if provider is None or obstacle is not None:
        assert obstacle is not None
        raise obstacle
    before = deployments.last(request.settings.cluster.namespace)
    if before and before.context != provider.context:
        now = f"now {provider.context} would be used"
        message = f"the last `up` went to the context {before.context}; {now}"
        remedy = "Start that cluster, or name the one that is meant with --cluster or --context."
        yield Check("last up", message, "warn", remedy)
    kubectl, check = _kubectl(provider, deadline)
    yield check
    if state != "running":
        yield Check("cluster", f"{provider.context} is {state}: `up` starts it")
        return
    with Kube(provider.kubectl, provider.context, deadline, request.note) as kube:
        probes: list[tuple[str, Probe]] = [
            ("cluster", lambda: _server(kube, kubectl)),
            ("permissions", lambda: _permissions(kube, request.settings.cluster.namespace)),
            ("room", lambda: _capacity(request, kube)),
            ("services", lambda: _services(request, kube)),
            ("policies", lambda: [_policies(provider, kube)]),
        ]
        with ThreadPoolExecutor(len(probes)) as pool:
            for found in pool.map(lambda one: _told(*one), probes):
                yield from found


def _kubectl(provider: Provider, deadline: Deadline) -> tuple[str, Check]:
    """Its version, empty where it has none, and what is said of it."""
    argv = [*provider.kubectl, "version", "--client", "--output=json"]
    try:
        answer = run(argv, deadline=deadline)
        version = json.loads(answer.stdout)["clientVersion"]["gitVersion"]
    except (CommandFailed, ValueError, LookupError, TypeError) as error:
        if provider.state(deadline) == "absent":
            return "", Check("kubectl", "comes with the cluster", "-")
        message = f"{' '.join(argv[:2])}: {error}"[:300]
        return "", Check.failed("kubectl", finding("kubectl-failed", message))
    return version, Check("kubectl", f"{version}, from {Path(argv[0]).name}")


def _server(kube: Kube, kubectl: str) -> Iterable[Check]:
    version = versions.of_server(kube)
    if words := versions.too_old(version):
        yield Check("versions", words, "warn", _NEWER)
    if words := versions.apart(kubectl, version):
        remedy = f"Put a kubectl of {versions.fitting(version)} first on the PATH."
        yield Check("versions", words, "warn", remedy)
    words = f"{kube.context}, Kubernetes {version}"
    try:
        nodes = kube.list("Node")
    except Failure:
        yield Check("cluster", f"{words}; its nodes may not be listed")
        return
    unready = [name_of(each) for each in nodes if condition(each, "Ready") != "True"]
    if unready and len(unready) == len(nodes):
        message = f"no node is Ready: {', '.join(unready[:_MOST_NAMED])}"
        yield Check.failed("cluster", finding("node-not-ready", message))
    elif unready:
        words += f"; not Ready: {', '.join(unready[:_MOST_NAMED])}"
        yield Check("cluster", words, "warn", "Look at it with `kubectl describe node`.")
    elif nodes and all(at(each, "spec", "unschedulable") for each in nodes):
        words += f"; every node is cordoned: {', '.join(map(name_of, nodes[:_MOST_NAMED]))}"
        yield Check("cluster", words, "warn", "Let one take pods again: `kubectl uncordon`.")
    else:
        yield Check("cluster", f"{words}, nodes: {len(nodes)}")


def _permissions(kube: Kube, namespace: str) -> Iterable[Check]:
    with ThreadPoolExecutor(_ASKING) as pool:

        def missing(scope: str | None, rules: Iterable[tuple[str, str, list[str]]]) -> list[str]:
            asked = [(verb, group, name) for group, name, verbs in rules for verb in verbs]
            allowed = pool.map(lambda one: kube.may(one[0], one[1], one[2], scope), asked)
            return [
                f"{verb} {name}"
                for (verb, _, name), may in zip(asked, allowed, strict=True)
                if not may
            ]

        own = missing(namespace, resources.rules(in_namespace=True))
        wide = missing(None, resources.rules(in_namespace=False))
    remedy = "Ask an administrator to apply what `learnflow-infra role` prints and bind it to you."
    if own:
        message = f"in namespace {namespace}: {_few(own)}"
        yield Check.failed("permissions", finding("permission-missing", message, remedy=remedy))
    elif wide:
        words = f"enough, but across the cluster: {_few(wide)}; nodes and capacity are not checked"
        yield Check("permissions", words, "warn", remedy)
    else:
        yield Check("permissions", "all that the commands need")


def _few(names: Sequence[str]) -> str:
    return f"not {some(names, _MOST_NAMED)}"


def _services(request: Request, kube: Kube) -> Iterable[Check]:
    """How far the services that are deployed are; their data is not asked for."""
    namespace = request.settings.cluster.namespace
    workloads = by_name(kube.list("StatefulSet", namespace, manifests.SCOPE_SELECTOR))
    pods, counts, failed = kube.list("Pod", namespace), [], []
    for service in request.services:
        if (workload := workloads.get(service.name)) is None:
            counts.append(f"{service.name} not deployed")
            continue
        state = explain(kube, request.settings, servers(service, request.settings), workload, pods)
        counts.append(f"{service.name} {state.ready}/{state.total} pods")
        unready = finding("pods-not-ready", "no cause is known yet", service=service.name)
        if not state.done:
            failed += [Check.failed("services", each) for each in state.findings or [unready]]
    yield from failed or [Check("services", ", ".join(counts))]


def _policies(provider: Provider, kube: Kube) -> Check:
    answer, why = policies.enforced(provider, kube)
    if answer == "yes":
        return Check("policies", f"NetworkPolicies are enforced: {why}")
    message = "NetworkPolicies are not enforced"
    if answer == "unknown":
        message = "it is not known whether NetworkPolicies are enforced"
    remedy = "Any pod may reach the services; a network such as Calico or Cilium keeps them out."
    return Check("policies", f"{message}: {why}", "warn", remedy)


def _capacity(request: Request, kube: Kube) -> Iterable[Check]:
    failed = []
    try:
        capacity = check_capacity(kube, request.settings, request.services)
    except ApiError:
        raise
    except Failure as failure:
        for each in failure.findings:
            name = "volumes" if each.code == "storage-class-missing" else "room"
            failed.append(Check.failed(name, each))
    else:
        remedy = 'Give the cluster more, or set size = "small" in infra.toml.'
        yield (
            Check("room", capacity.message, "warn", remedy)
            if capacity.note
            else Check("room", capacity.message)
        )
    if not any(each.name == "volumes" for each in failed):
        classes = ", ".join(
            f"{name_of(each)}{' (default)' if is_default(each) else ''}"
            for each in kube.list("StorageClass")
        )
        yield Check("volumes", f"StorageClasses: {classes or 'none'}")
    yield from failed
