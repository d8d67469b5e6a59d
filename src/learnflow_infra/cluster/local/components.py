"""The node's processes: their arguments, configuration files and health URLs.

Everything that is not said here is upstream's default.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from learnflow_infra.cluster.local import layout

_PKI = layout.PKI
_CAP_SYS_RESOURCE = 24
# With one node there is nowhere else for a pod to go: while nothing is heard of it, none ends.
_YEARS = 10 * 365 * 86_400
_MIN_SYNC = "50ms"  # upstream waits 1 s between changes, for clusters of thousands of Services


@dataclass(frozen=True)
class Component:
    name: str
    argv: tuple[str, ...]
    health: str | None = None  # a URL that answers 200 when it works


def components(node: str, admit: str, search: str, cgroup: str) -> dict[str, Component]:
    """All of them by name. `search` is the node's PATH; writes their configuration files."""
    layout.CONFIG.mkdir(mode=0o700, parents=True, exist_ok=True)
    cri = _cri(search, admit)
    kubelet = _write("kubelet.json", _kubelet(cgroup))
    proxy = _write("proxy.json", _proxy())
    corefile = layout.CONFIG / "Corefile"
    corefile.write_text(_COREFILE)
    loopback = (
        "--bind-address=127.0.0.1",
        f"--tls-cert-file={_PKI}/loopback.crt",
        f"--tls-private-key-file={_PKI}/loopback.key",
        "--leader-elect=false",
    )
    listed = (
        Component("containerd", ("containerd", "--config", str(cri), "--log-level", "warn")),
        Component("etcd", (node, *_ETCD), "http://127.0.0.1:2381/health"),
        Component("kube-apiserver", (node, *_API_SERVER), f"{layout.API_SERVER}/readyz"),
        Component(
            "kube-controller-manager",
            (node, *_CONTROLLER_MANAGER, *loopback),
            "https://127.0.0.1:10257/healthz",
        ),
        Component(
            "kube-scheduler",
            (node, "kube-scheduler", *_as("scheduler"), *loopback),
            "https://127.0.0.1:10259/healthz",
        ),
        Component(
            "kubelet",
            (
                *(node, "kubelet", f"--config={kubelet}", "--v=0"),
                f"--kubeconfig={layout.kubeconfig('kubelet')}",
                f"--root-dir={layout.STATE}/kubelet",
                f"--hostname-override={layout.NAME}",
                f"--node-ip={layout.NODE_ADDRESS}",
            ),
            "http://127.0.0.1:10248/healthz",
        ),
        Component(
            "kube-proxy",
            (node, "kube-proxy", f"--config={proxy}"),
            "http://127.0.0.1:10256/healthz",
        ),
        Component(
            "policies",
            (
                *(node, "policies", str(layout.kubeconfig("policies")), str(layout.POLICIES)),
                *(layout.PODS, layout.DNS_ADDRESS),
            ),
        ),
        Component("dns", (node, "dns", str(corefile)), "http://127.0.0.1:8181/ready"),
        Component(
            "storage",
            (node, "storage", str(layout.kubeconfig("storage")), str(layout.VOLUMES)),
        ),
    )
    return {each.name: each for each in listed}


def _as(user: str) -> tuple[str, ...]:
    file = layout.kubeconfig(user)
    return (
        f"--kubeconfig={file}",
        f"--authentication-kubeconfig={file}",
        f"--authorization-kubeconfig={file}",
    )


_ETCD = (
    *("etcd", f"--name={layout.NAME}", f"--data-dir={layout.STATE}/etcd"),
    *("--listen-client-urls=https://127.0.0.1:2379", "--log-level=warn"),
    # It elects itself: there is nobody to wait for.
    *("--heartbeat-interval=10", "--election-timeout=100"),
    "--advertise-client-urls=https://127.0.0.1:2379",
    # On one port with HTTP, watches starve, and with them everything that waits for a change.
    "--listen-client-http-urls=https://127.0.0.1:2382",
    "--listen-peer-urls=https://127.0.0.1:2380",
    "--initial-advertise-peer-urls=https://127.0.0.1:2380",
    f"--initial-cluster={layout.NAME}=https://127.0.0.1:2380",
    "--listen-metrics-urls=http://127.0.0.1:2381",
    *(f"--cert-file={_PKI}/etcd.crt", f"--key-file={_PKI}/etcd.key"),
    *(f"--trusted-ca-file={_PKI}/etcd-ca.crt", "--client-cert-auth"),
    *(f"--peer-cert-file={_PKI}/etcd.crt", f"--peer-key-file={_PKI}/etcd.key"),
    *(f"--peer-trusted-ca-file={_PKI}/etcd-ca.crt", "--peer-client-cert-auth"),
)

_API_SERVER = (
    *("kube-apiserver", f"--bind-address={layout.NODE_ADDRESS}", "--secure-port=6443"),
    f"--advertise-address={layout.NODE_ADDRESS}",
    f"--service-cluster-ip-range={layout.SERVICES}",
    "--authorization-mode=Node,RBAC",
    "--enable-admission-plugins=NodeRestriction",
    f"--default-not-ready-toleration-seconds={_YEARS}",
    f"--default-unreachable-toleration-seconds={_YEARS}",
    # The node reaches no cluster IP through names, so that webhooks and extensions are called at
    # their endpoints; and nobody can resolve the node's name.
    "--enable-aggregator-routing=true",
    "--kubelet-preferred-address-types=InternalIP",
    "--etcd-servers=https://127.0.0.1:2379",
    f"--etcd-cafile={_PKI}/etcd-ca.crt",
    f"--etcd-certfile={_PKI}/apiserver-etcd-client.crt",
    f"--etcd-keyfile={_PKI}/apiserver-etcd-client.key",
    f"--tls-cert-file={_PKI}/apiserver.crt",
    f"--tls-private-key-file={_PKI}/apiserver.key",
    f"--client-ca-file={_PKI}/ca.crt",
    f"--kubelet-certificate-authority={_PKI}/ca.crt",
    f"--kubelet-client-certificate={_PKI}/apiserver-kubelet-client.crt",
    f"--kubelet-client-key={_PKI}/apiserver-kubelet-client.key",
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    f"--service-account-key-file={_PKI}/service-accounts.pub",
    f"--service-account-signing-key-file={_PKI}/service-accounts.key",
    f"--requestheader-client-ca-file={_PKI}/front-proxy-ca.crt",
    "--requestheader-allowed-names=front-proxy-client",
    "--requestheader-username-headers=X-Remote-User",
    "--requestheader-group-headers=X-Remote-Group",
    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    f"--proxy-client-cert-file={_PKI}/front-proxy-client.crt",
    f"--proxy-client-key-file={_PKI}/front-proxy-client.key",
)

_CONTROLLER_MANAGER = (
    *("kube-controller-manager", *_as("controller-manager")),
    "--use-service-account-credentials=true",
    *("--kube-api-qps=500", "--kube-api-burst=1000"),  # it starts by some 80 requests
    f"--service-account-private-key-file={_PKI}/service-accounts.key",
    f"--root-ca-file={_PKI}/ca.crt",
    f"--cluster-signing-cert-file={_PKI}/ca.crt",
    f"--cluster-signing-key-file={_PKI}/ca.key",
    f"--flex-volume-plugin-dir={layout.STATE}/plugins",
)

_COREFILE = f"""\
cluster.local in-addr.arpa ip6.arpa {{
    bind {layout.DNS_ADDRESS}
    errors
    ready 127.0.0.1:8181
    kubernetes {{
        kubeconfig {layout.kubeconfig("dns")}
        pods insecure
        ttl 5
    }}
    loadbalance
}}
. {{
    bind {layout.DNS_ADDRESS}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def _kubelet(cgroup: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": layout.NODE_ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{_PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{_PKI}/kubelet-server.crt",
        "tlsPrivateKeyFile": f"{_PKI}/kubelet-server.key",
        "containerRuntimeEndpoint": f"unix://{layout.CONTAINERD_SOCKET}",
        "clusterDomain": "cluster.local",
        "clusterDNS": [layout.DNS_SERVICE],
        "resolvConf": "",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "podLogsDir": "/var/log/pods",
        "volumePluginDir": f"{layout.STATE}/plugins",
        # A watch that the node's authorizer refuses, as it lags behind, is begun again 15 s later.
        "configMapAndSecretChangeDetectionStrategy": "Get",
        "registryPullQPS": 0,
        "serializeImagePulls": False,
        # Nothing about the disk, which is the developer's: whatever fills it ends no pod, and
        # takes no image away.
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
    }


def _proxy() -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(layout.kubeconfig("proxy"))},
        "hostnameOverride": layout.NAME,
        "healthzBindAddress": "127.0.0.1:10256",
        "clusterCIDR": layout.PODS,
        "conntrack": {"maxPerCore": 0},  # the limit is the machine's
        "nftables": {"minSyncPeriod": _MIN_SYNC},
    }


def _cri(search: str, admit: str) -> Path:
    """containerd's configuration and the pods' network.

    Pods are routed, not bridged: a bridge needs netfilter's bridge module for a pod to reach
    itself or a neighbour through a Service, and would hide that traffic from a network policy.
    """
    network = {
        "cniVersion": "0.4.0",
        "name": layout.NAME,
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(layout.ADDRESSES),
                    "ranges": [[{"subnet": layout.PODS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "admit", "socket": str(layout.POLICIES / "socket")},
        ],
    }
    folder = layout.CONFIG / "cni"
    folder.mkdir(exist_ok=True)
    (folder / f"{layout.NAME}.conflist").write_text(json.dumps(network, indent=1))
    config = layout.CONFIG / "containerd.toml"
    config.write_text(f"""\
version = 2
root = "{layout.STATE}/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]

[grpc]
address = "{layout.CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{layout.PAUSE_IMAGE}"
restrict_oom_score_adj = {str(not _may_raise_limits()).lower()}
disable_apparmor = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{_plugins(search, admit)}"
conf_dir = "{folder}"
""")
    return config


def _plugins(search: str, admit: str) -> Path:
    """A folder with all of them, as the runtime wants it."""
    folder = layout.CONFIG / "plugins"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "admit").symlink_to(admit)
    for name in ("ptp", "host-local", "loopback"):
        found = shutil.which(name, path=search)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def _may_raise_limits() -> bool:
    """Whether this process has CAP_SYS_RESOURCE, which a sandbox often lacks."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return False


def _write(name: str, config: dict[str, Any]) -> Path:
    path = layout.CONFIG / name
    path.write_text(json.dumps(config, indent=1))
    return path
