"""`up`: one list of steps, from choosing the cluster to the proof."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from learnflow_infra import cluster
from learnflow_infra.cluster import deployments
from learnflow_infra.cluster.deployments import Deployment
from learnflow_infra.commands import Request, cluster_line, reported_cluster
from learnflow_infra.diagnosis import clients, workloads
from learnflow_infra.diagnosis.state import State
from learnflow_infra.diagnosis.symptoms import STALLED
from learnflow_infra.findings.causes import CAUSES
from learnflow_infra.findings.failures import Failure
from learnflow_infra.findings.verdict import Verdict
from learnflow_infra.host import x509
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes import manifests, versions
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.pipeline import apply, credentials, declared, lease
from learnflow_infra.pipeline.capacity import check_capacity
from learnflow_infra.pipeline.images import supply, with_loading
from learnflow_infra.pipeline.prove import from_host, prove
from learnflow_infra.pipeline.put_back import put_back
from learnflow_infra.pipeline.reconcile import reconcile
from learnflow_infra.pipeline.scope import Changes, Scope
from learnflow_infra.pipeline.unblock import unblock
from learnflow_infra.pipeline.unbound import without_unbound
from learnflow_infra.pipeline.wait import wait
from learnflow_infra.report import Report
from learnflow_infra.services import Secrets, Service, client, servers
from learnflow_infra.settings import Settings, shown

_SETTLING_SECONDS = 60.0
_AGAIN_SECONDS = 0.2
_TERMINATING_SECONDS = 20.0
_LOGIN_RENEWED = "learnflow-app/login-renewed"


def up(request: Request) -> Report:
    """Make everything so, and prove it. Run again, it changes nothing."""
    settings, deadline, say = request.settings, request.deadline, request.say
    services = request.services
    steps, changes = _Steps(), Changes()
    provider = cluster.choose(settings.cluster, deadline)
    before = deployments.last(settings.cluster.namespace)
    now = Deployment(provider.context, str(settings.file or ""))
    notes = []
    if before and before.context != now.context:
        notes.append(f"the last `up` went to the context {before.context}")
        say(notes[0])
    if before and "" != before.settings != now.settings != "":
        notes.append(f"the last `up` was with {shown(Path(before.settings))}")
    provider.up(deadline, say)
    steps.end("cluster")
    with request.api(provider) as kube, contextlib.ExitStack() as open_:
        declared.require_file(kube, settings)
        if settings.security.encryption:
            x509.load_library()  # while kubectl comes up
        # A pod that is made without its image waits for as long as the kubelet backs off.
        loading = supply(provider, settings, services, deadline, say)
        for image, how in loading.items():
            say(f"{image}: if the nodes do not have it, load it there with {how}")
        steps.end("images")
        # Nothing is written where it cannot be, or not fit.
        for service in services:
            service.require_possible(kube, settings, deadline)
        capacity = check_capacity(kube, settings, services)
        notes += filter(None, [versions.too_old(versions.of_server(kube))])
        fresh = _begin(request, kube, changes, open_)
        scope = apply.settings_record(kube, settings, changes, fresh=fresh)
        scope = without_unbound(kube, settings, services, scope, changes, deadline)
        # Before the objects, which mount them.
        made = credentials.provide(kube, settings, services, scope.objects, changes)
        secrets: dict[str, Secrets] = {}
        refused: dict[str, Failure] = {}

        def put(service: Service) -> None:
            try:
                secrets.update(apply.objects(kube, settings, [service], made, scope, changes))
                live = scope.objects
                changes.changed += credentials.restart_for_new(kube, settings, service, live, made)
            except Failure as failure:
                if failure.of_cluster:
                    raise
                refused[service.name] = failure

        with ThreadPoolExecutor(len(services)) as pool:
            list(pool.map(put, services))
        deployments.record(settings.cluster.namespace, now)
        steps.end("apply")
        say(f"applied: {len(changes.changed)} changed, {len(changes.pruned)} pruned")

        def deploy(service: Service) -> Verdict:
            if failure := refused.get(service.name):
                return Verdict(service.name, findings=failure.of(service.name))
            started = time.monotonic()
            changed = f"statefulset/{service.name}" in changes.changed
            verdict = _deploy(request, kube, service, secrets[service.name], changed)
            own = client(service).name
            renewed = f"secret/{service.name}-connection" in changes.changed
            if verdict.ok and renewed and f"statefulset/{own}" not in changes.changed:
                # So that the kubelet brings the client's pod the new login at once.
                kube.annotate("Pod", settings.cluster.namespace, f"{own}-0", _LOGIN_RENEWED)
            if changed and not verdict.ok and verdict.ready < verdict.total:
                before = scope.objects
                said = put_back(kube, settings, service, before, changes.changed, deadline)
                notes.extend(filter(None, [said]))
            if (image := settings.services[service.name].image) in loading:
                verdict.findings = with_loading(verdict.findings, image, loading[image])
            verdict.seconds = time.monotonic() - started
            say(f"{service.name}: {'proved' if verdict.ok else 'not proved'}")
            return verdict

        with ThreadPoolExecutor(len(services)) as pool:
            verdicts = list(pool.map(deploy, services))
        steps.end("services")
        notes += _to_restart(kube, settings, scope, changes)
    changed = [*changes.changed, *changes.pruned, *(x for one in verdicts for x in one.changed)]
    where = reported_cluster(provider, settings)
    notes += changes.notes
    if capacity.note:
        notes.insert(0, capacity.note)
    details = {"steps": steps.seconds, "notes": notes}
    lines = [*notes, cluster_line(provider, settings)]
    return Report("up", verdicts, cluster=where, changed=changed, lines=lines, details=details)


def _begin(request: Request, kube: Kube, changes: Changes, open_: contextlib.ExitStack) -> bool:
    """Make the namespace so and hold its Lease; whether nothing but this can be in it. One that is
    just being purged is waited for."""
    settings, deadline, say = request.settings, request.deadline, request.say
    limit: Deadline | None = None
    while True:
        try:
            fresh = apply.namespace(kube, settings, changes)
            waited = open_.enter_context(lease.held(kube, settings, "up", deadline, say))
            return fresh and not waited
        except Failure as failure:
            if failure.findings[0].code != "namespace-terminating":
                raise
            limit = limit or deadline.within(_TERMINATING_SECONDS)
            if limit.passed():
                raise
        say(f"waiting until namespace {settings.cluster.namespace} is gone")
        time.sleep(_AGAIN_SECONDS)


def _to_restart(kube: Kube, settings: Settings, before: Scope, changes: Changes) -> Iterator[str]:
    """Of each workload that still runs with a login which was changed just now."""
    connections = {
        f"secret/{name}": item
        for (kind, name), item in before.objects.items()
        if kind == "Secret" and manifests.is_connection(item)
    }
    if not connections.keys() & set(changes.changed):
        return
    namespace = settings.cluster.namespace
    secrets = kube.list("Secret", namespace, manifests.SCOPE_SELECTOR)
    listed = kube.list_each((*workloads.KINDS, "Pod"), namespace)
    for each in clients.outdated(settings, workloads.found(listed), secrets):
        yield f"{each.message}; {each.remedy[0].lower()}{each.remedy[1:]}"


def _deploy(
    request: Request, kube: Kube, service: Service, secrets: Secrets, changed: bool
) -> Verdict:
    """Unblock, wait, reconcile and prove one service.

    What fails of something that may pass by itself is done again: just after a start, Services and
    names lag behind pods, and pods may be shown as they were before a restart of the cluster.
    """
    settings, deadline = request.settings, request.deadline
    service.load_client()
    parts = servers(service, settings), client(service)
    reached = Verdict(service.name)

    def on_progress(state: State) -> None:
        reached.ready, reached.total = state.ready, state.total
        request.say(f"{service.name}: {state.ready} of {state.total} pods ready")

    settling: Deadline | None = None
    failed: Verdict | None = None
    done: list[str] = []
    # Whoever runs this again may have mended what Kubernetes still waits with.
    blocked, old, woken = not changed, set[str](), False
    while True:
        try:
            if blocked:
                blocked = False
                unblocked = unblock(kube, settings, parts[0])
                old = unblocked.kept
                done += unblocked.replaced + unblock(kube, settings, parts[1]).replaced
            state = wait(kube, settings, parts[0], deadline, on_progress, changed=changed)
            # From the first time that the pods were ready: a slow start has its second proof, too.
            settling = settling or deadline.within(_SETTLING_SECONDS)
        except Failure as failure:
            if failure.of_cluster:
                raise
            stalled = not woken and [each.code for each in failure.findings] == [STALLED]
            if stalled or old:  # pods of before may have failed for what is mended since
                again = unblock(kube, settings, parts[0], None if stalled else old)
                done += again.replaced
                others = not old <= again.kept
                woken, old = woken or stalled, set()
                if again.replaced or others:
                    continue
            verdict = _telling(failed, replace(reached, findings=failure.of(service.name)))
            verdict.changed = done
            return verdict
        try:
            # Before the proof: until then nobody can log in.
            inside = reconcile(kube, settings, service, secrets, deadline)
            if f"secret/{service.name}-credentials" in inside:
                secrets = credentials.read(kube, settings, service)
            done += inside
            with ThreadPoolExecutor(1) as pool:
                # It goes to the pods themselves, which need not be Ready for that.
                outer = pool.submit(from_host, kube, settings, service, secrets, deadline)
                if not state.done:
                    wait(kube, settings, parts[0], deadline, on_progress, changed=changed)
                wait(kube, settings, parts[1], deadline, lambda _: None, changed=changed)
                verdict = prove(kube, settings, service, deadline, secrets, outer)
        except Failure as failure:
            if failure.of_cluster:
                raise
            verdict = replace(reached, findings=failure.of(service.name))
        verdict = _telling(failed, verdict)
        unready = verdict.ready < verdict.total  # whether that heals is for the wait to judge
        heals = unready or all(CAUSES[each.code].heals for each in verdict.findings)
        if verdict.ok or not heals or settling.passed():
            verdict.changed = done
            return verdict
        failed = verdict
        time.sleep(_AGAIN_SECONDS)


def _telling(before: Verdict | None, now: Verdict) -> Verdict:
    """What failed before, where now there was only no time for another try."""
    over = bool(now.findings) and now.findings[0].code == "deadline-passed"
    return before if before and over else now


class _Steps:
    """Where the time went: seconds by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = time.monotonic()

    def end(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name] = round(now - self._began, 3)
        self._began = now
