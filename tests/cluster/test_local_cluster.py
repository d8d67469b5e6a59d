"""The local cluster, as somebody sees it who runs the command and uses Kubernetes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from learnflow_infra.cluster.local import build, layout
from learnflow_infra.host import paths

from . import probe_image
from .machine import COMMAND, CONTEXT, RUN, STATE, Machine, eventually

NODE_PORT = 30080
IN_POD = ("exec", "web-0", "--", "/probe")
WEB: list[dict[str, Any]] = [
    {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "web"},
        "spec": {
            "serviceName": "peers",
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "terminationGracePeriodSeconds": 10,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": "web",
                            "image": probe_image.REFERENCE,
                            "args": ["serve", "/data"],
                            "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                            },
                        }
                    ],
                },
            },
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "data"},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "10Mi"}},
                    },
                }
            ],
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {
            "type": "NodePort",
            "selector": {"app": "web"},
            "ports": [{"port": 80, "targetPort": 8080, "nodePort": NODE_PORT}],
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "peers"},
        "spec": {"clusterIP": "None", "selector": {"app": "web"}, "ports": [{"port": 8080}]},
    },
]


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return probe_image.build(tmp_path_factory.mktemp("probe"))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine without a local cluster."""
    machine = Machine(tmp_path)
    yield machine
    machine.end()


@pytest.fixture(scope="module")
def running(probe: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine whose local cluster runs and has a web server with a volume and a Service."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    _deploy_web(machine, probe)
    machine.kubectl(*IN_POD, "write", "/data/said", "kept")
    yield machine
    machine.end()


def test_up_from_nothing_ends_with_a_ready_node_dns_and_a_default_class(machine: Machine) -> None:
    machine.learnflow("cluster", "up")
    assert machine.kubectl("config", "current-context").strip() == CONTEXT
    (node,) = machine.get("nodes")["items"]
    assert _condition(node, "Ready") == "True"
    (default,) = machine.get("storageclass")["items"]
    assert default["metadata"]["name"] == "standard"
    annotations = default["metadata"]["annotations"]
    assert annotations["storageclass.kubernetes.io/is-default-class"] == "true"
    assert "running" in machine.learnflow("cluster", "status")


def test_up_again_starts_nothing(running: Machine) -> None:
    before = running.processes()
    running.learnflow("cluster", "up")
    assert running.processes() == before


def test_a_current_context_that_is_another_one_stays(machine: Machine) -> None:
    kubeconfig = machine.home / ".kube" / "config"
    kubeconfig.parent.mkdir()
    machine.kubectl("config", "set-context", "mine", "--cluster=somewhere")
    machine.kubectl("config", "use-context", "mine")
    machine.learnflow("cluster", "up")
    assert machine.kubectl("config", "current-context").strip() == "mine"
    assert "Ready" in machine.kubectl("--context", CONTEXT, "get", "nodes")
    machine.learnflow("cluster", "down", "--purge")
    assert "somewhere" in kubeconfig.read_text()
    assert CONTEXT not in kubeconfig.read_text()


def test_logs_and_exec(running: Machine) -> None:
    assert running.kubectl("logs", "web-0") == "serving\n"
    assert running.kubectl(*IN_POD, "read", "/data/said") == "kept"


def test_a_port_is_forwarded(running: Machine) -> None:
    forward = running.start(*running.kubectl_argv, "port-forward", "pod/web-0", ":8080")
    try:
        assert forward.stdout is not None
        port = forward.stdout.readline().split(":")[1].split()[0]  # Forwarding from 127.0.0.1:1234
        assert _get(running, f"http://127.0.0.1:{port}") == "kept"
    finally:
        running.run("kill", str(running.pid("kubectl port-forward")))
        forward.communicate(timeout=10)


def test_pods_services_and_node_ports_are_reached_from_the_host(running: Machine) -> None:
    pod = running.get("pod", "web-0")["status"]["podIP"]
    service = running.get("service", "web")["spec"]["clusterIP"]
    for address in (f"{pod}:8080", service, f"{layout.NODE_ADDRESS}:{NODE_PORT}"):
        assert _get(running, f"http://{address}") == "kept"


def test_a_pod_finds_services_by_name_even_its_own(running: Machine) -> None:
    assert running.kubectl(*IN_POD, "lookup", "kubernetes.default") == layout.API_SERVICE
    pod = running.get("pod", "web-0")["status"]["podIP"]
    assert running.kubectl(*IN_POD, "lookup", "web-0.peers.default.svc.cluster.local") == pod
    assert running.kubectl(*IN_POD, "get", "http://web") == "kept"
    assert "no such host" in running.kubectl(*IN_POD, "lookup", "example.org", exit_code=1)


def test_a_service_that_is_not_there_refuses_at_once(running: Machine) -> None:
    service = running.get("service", "web")["spec"]["clusterIP"]
    # Without an answer each would take the probe's 2 s and say so.
    for address in (f"{service}:81", layout.SERVICES.replace(".0/20", ".99")):
        assert "no route to host" in running.kubectl(
            *IN_POD, "get", f"http://{address}", exit_code=1
        )


def test_a_pod_has_no_way_out(running: Machine) -> None:
    outside = layout.HOST_ADDRESS.rpartition(".")[0] + ".200"
    answer = running.kubectl(*IN_POD, "get", f"http://{outside}", exit_code=1)
    assert "network is unreachable" in answer


def test_a_component_that_dies_comes_back(running: Machine) -> None:
    pid = running.pid(" kube-scheduler ")
    running.run("kill", "-9", str(pid))

    eventually(lambda: pid not in running.processes())
    running.learnflow("cluster", "up")  # waits until all is well again
    assert running.pid(" kube-scheduler ") != pid


def test_a_restart_ends_pods_in_order_and_keeps_their_data(running: Machine) -> None:
    running.learnflow("cluster", "down")
    assert "stopped" in running.learnflow("cluster", "status")
    assert not any("learnflow" in args for args in running.processes().values())
    stopped = datetime.now().astimezone()

    running.learnflow("cluster", "up")
    # The API never tells of the last life: whatever it calls ready has started since.
    for pod in running.get("pods")["items"]:
        if _condition(pod, "Ready") == "True":
            started = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
            assert datetime.fromisoformat(started) >= stopped.replace(microsecond=0)
    _await_web(running)
    assert running.kubectl(*IN_POD, "read", "/data/ended") == "orderly"
    assert _get(running, f"http://{layout.NODE_ADDRESS}:{NODE_PORT}") == "kept"


def test_kill_of_the_first_process_ends_all_and_up_brings_it_back(running: Machine) -> None:
    pid = running.pid("-m learnflow_infra.cluster.local.node", without="unshare")
    running.run("kill", "-9", str(pid))
    eventually(lambda: not any("learnflow" in args for args in running.processes().values()))
    eventually(lambda: CONTEXT not in running.run("ip", "-brief", "link"))

    running.learnflow("cluster", "up")
    _await_web(running)
    assert _get(running, f"http://{layout.NODE_ADDRESS}:{NODE_PORT}") == "kept"


def test_a_full_disk_ends_no_pod(machine: Machine, probe: Path) -> None:
    machine.run("mkdir", "-m", "700", STATE)
    machine.run("mount", "-n", "-t", "tmpfs", "-o", "size=600m,mode=700", "small", STATE)
    _deploy_web(machine, probe)
    pod = machine.pid("/probe serve")

    machine.run("dd", "if=/dev/zero", f"of={STATE}/filler", "bs=64k", exit_code=1)
    machine.run("kill", "-9", str(machine.pid(" etcd ")))
    started: set[int] = set()  # its log has no room either

    def started_often() -> bool:
        started.update(pid for pid, args in machine.processes().items() if " etcd " in args)
        return len(started) > 5

    eventually(started_often, 120)
    assert machine.learnflow("cluster", "up", exit_code=4).startswith("node-disk-full")
    assert machine.pid("/probe serve") == pod
    machine.run("rm", STATE / "filler")
    _, progress = machine.start(COMMAND, "cluster", "up").communicate(timeout=180)
    assert f"the disk of {STATE} has only" in progress
    assert machine.pid("/probe serve") == pod
    assert _condition(machine.get("pod", "web-0"), "Ready") == "True"


def test_packets_for_a_cluster_that_is_down_go_nowhere(machine: Machine) -> None:
    # A way out that must not be taken.
    machine.run("ip", "link", "add", "out", "type", "veth", "peer", "name", "beyond")
    machine.run("ip", "address", "add", "192.0.2.1/24", "dev", "out")
    machine.run("ip", "link", "set", "out", "up")
    machine.run("ip", "route", "add", "default", "via", "192.0.2.2")
    machine.learnflow("cluster", "up")
    machine.learnflow("cluster", "down")
    for address in (layout.NODE_ADDRESS, layout.API_SERVICE, layout.PODS.split("/")[0]):
        assert "No route to host" in machine.run("ip", "route", "get", address, exit_code=2)


def test_purge_leaves_nothing_behind(machine: Machine) -> None:
    before = (machine.processes(), machine.mounts(), machine.network(), machine.files())
    machine.learnflow("cluster", "up")
    cgroup = machine.run("cat", RUN / "cgroup")
    assert _cgroups(cgroup)
    machine.learnflow("cluster", "down", "--purge")

    assert machine.processes() == before[0]
    assert machine.mounts() == before[1]
    assert machine.network() == before[2]
    left = {path for path in machine.files() - before[3] if "__pycache__" not in path}
    assert left <= {f"{machine.home}/.kube", f"{machine.home}/.kube/config"}
    assert CONTEXT not in (machine.home / ".kube" / "config").read_text()
    assert not _cgroups(cgroup)
    assert "absent" in machine.learnflow("cluster", "status")


def test_purge_removes_what_an_interrupted_up_left(machine: Machine) -> None:
    starting = machine.start(COMMAND, "cluster", "up")
    machine.run("kill", "-9", str(_await_half_way(machine)))
    starting.communicate(timeout=30)
    machine.learnflow("cluster", "down", "--purge")
    assert not any("learnflow" in args for args in machine.processes().values())
    assert CONTEXT not in machine.network()


def test_interrupted_up_ends_the_node_and_says_so(machine: Machine) -> None:
    starting = machine.start(COMMAND, "cluster", "up")
    machine.run("kill", "-INT", str(_await_half_way(machine)))
    stdout, stderr = starting.communicate(timeout=60)
    assert starting.returncode == 130
    assert "interrupted" in stdout
    assert "Traceback" not in stderr
    eventually(lambda: not any("local.node" in args for args in machine.processes().values()))
    machine.learnflow("cluster", "up")
    assert _condition(machine.get("nodes")["items"][0], "Ready") == "True"


def test_an_interface_of_that_name_is_refused_and_left_alone(machine: Machine) -> None:
    machine.run("ip", "link", "add", CONTEXT, "type", "veth", "peer", "name", "other")
    before = machine.network()
    assert f"interface named {CONTEXT}" in machine.learnflow("cluster", "up", exit_code=3)
    assert machine.network() == before
    machine.learnflow("cluster", "down", "--purge")
    assert machine.network() == before


def test_addresses_in_use_are_refused(machine: Machine) -> None:
    machine.run("ip", "link", "add", "other", "type", "veth", "peer", "name", "end")
    machine.run("ip", "link", "set", "other", "up")
    machine.run("ip", "route", "add", layout.PODS, "dev", "other")
    said = machine.learnflow("cluster", "up", exit_code=3)
    assert said.startswith("local-cluster-address-taken")
    assert f"route to {layout.PODS} by other" in said
    machine.run("ip", "link", "del", "other")  # what is named
    machine.learnflow("cluster", "up")


def test_programs_that_cannot_be_fetched_are_named(machine: Machine, tmp_path: Path) -> None:
    empty = {"XDG_CACHE_HOME": str(tmp_path)}
    said = machine.run(COMMAND, "cluster", "up", exit_code=3, env=empty)
    assert said.startswith("programs-missing")


def test_a_component_that_does_not_start_is_named(machine: Machine) -> None:
    program = machine.cache / "learnflow-infra" / build.binary().relative_to(paths.cache())
    kept = program.rename(program.with_name("kept"))
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    assert "local-cluster-start-failed" in machine.learnflow("cluster", "up", exit_code=3)
    kept.replace(program)
    machine.learnflow("cluster", "down")  # as the remedy says
    machine.learnflow("cluster", "up")


def test_files_with_keys_are_the_owners_alone(running: Machine) -> None:
    readable = running.run("find", STATE / "pki", STATE / "config", "-type", "f", "-perm", "/077")
    keys = [path for path in readable.split() if "key" in path or "kubeconfig" in path]
    assert keys == []
    for folder in (STATE, RUN):
        assert running.run("stat", "-c", "%a", folder).strip() == "700"


def _deploy_web(machine: Machine, probe: Path) -> None:
    machine.learnflow("cluster", "up")
    machine.load(probe.with_suffix(".tar"))
    machine.run("cp", probe, machine.home / "probe")
    manifest = machine.home / "web.json"
    manifest.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": WEB}))
    machine.kubectl("apply", "-f", str(manifest))
    _await_web(machine)


def _await_web(machine: Machine) -> None:
    machine.kubectl("rollout", "status", "statefulset/web", "--timeout=60s")
    machine.kubectl("wait", "--for=condition=Ready", "pod/web-0", "--timeout=60s")


def _await_half_way(machine: Machine) -> int:
    """The process of a `cluster up` that has begun to start the node."""
    eventually(lambda: "cluster.local.node" in " ".join(machine.processes().values()))
    return machine.pid("learnflow-infra cluster up")


def _get(machine: Machine, url: str) -> str:
    """From the host; a Service's change may take a moment to reach the kernel."""
    answers: list[str] = []

    def answered() -> bool:
        process = machine.start(machine.home / "probe", "get", url)
        answers.append(process.communicate(timeout=10)[0])
        return process.returncode == 0

    eventually(answered)
    return answers[-1]


def _condition(thing: Any, kind: str) -> str | None:
    conditions = {each["type"]: each["status"] for each in thing["status"]["conditions"]}
    return conditions.get(kind)


def _cgroups(name: str) -> list[Path]:
    top = Path("/sys/fs/cgroup")
    return [path for path in (top / name, *top.glob(f"*/{name}")) if path.exists()]
