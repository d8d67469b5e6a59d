"""The causes: all that can go wrong, as one table.

A cause has a stable code, the exit code that it ends a command with, what it means and what to do.
What can go wrong with one service alone stands in its own folder and is added to the table there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Exit(IntEnum):
    DONE = 0
    UNHEALTHY = 1
    USAGE = 2
    NO_CLUSTER = 3
    NO_RESOURCES = 4
    DEADLINE = 5
    INTERRUPTED = 130


class Rank(IntEnum):
    """What blocks what: of two causes the one of the lower rank is told first, and of one rank the
    one that stands earlier in the table."""

    COMMAND = 0
    """The command line, the machine and the cluster."""
    DEPLOYMENT = 1
    """What is deployed, as a whole."""
    PODS = 2
    """Pods and what they take, in the order in which they block each other."""
    SERVICE = 3
    """A service whose pods run."""
    REST = 4
    """What only counts where nothing else is known."""


@dataclass(frozen=True)
class Cause:
    code: str
    exit: Exit
    meaning: str
    remedy: str
    heals: bool = False
    """Whether it may pass by itself shortly after a start."""
    shared: bool = False
    """Whether services that show it show one and the same."""
    log: str = ""
    """A pattern of what the last lines of a server's log say where this made it end."""
    untested: str = ""
    """Why no test brings it about."""


CAUSES: dict[str, Cause] = {}
_ORDER: dict[str, tuple[Rank, int]] = {}


def register(rank: Rank, *causes: Cause) -> None:
    """Add causes to the table. Raises ValueError for a code that it has."""
    for cause in causes:
        if cause.code in CAUSES:
            raise ValueError(f"the cause {cause.code} stands in the table twice")
        _ORDER[cause.code] = (rank, len(CAUSES))
        CAUSES[cause.code] = cause


def order(code: str) -> tuple[Rank, int]:
    """The place of a cause among others: the most blocking one's is the least."""
    return _ORDER[code]


register(
    Rank.COMMAND,
    Cause(
        "local-cluster-unavailable",
        Exit.NO_CLUSTER,
        "The local cluster cannot run on this machine.",
        "Start Minikube, or name a cluster with --context.",
        untested="the tests run where the local cluster can.",
    ),
    Cause(
        "programs-missing",
        Exit.NO_CLUSTER,
        "Programs that are needed are neither installed nor could they be fetched.",
        "Install the named packages, or make Debian's package registry reachable, and repeat.",
    ),
    Cause(
        "local-cluster-build-failed",
        Exit.NO_CLUSTER,
        "The local cluster's programs could not be built.",
        "Read the named log; the build goes on from where it stopped when repeated.",
    ),
    Cause(
        "local-cluster-start-failed",
        Exit.NO_CLUSTER,
        "The local cluster did not come up.",
        "Read the named log, then `learnflow-infra cluster down` and `up` again.",
    ),
    Cause(
        "local-cluster-stop-failed",
        Exit.NO_CLUSTER,
        "The local cluster could not be stopped or removed.",
        "Repeat the command; it goes on from where it stopped.",
        untested="it takes a process that survives being killed.",
    ),
    Cause(
        "local-cluster-address-taken",
        Exit.NO_CLUSTER,
        "Something else on this machine uses the local cluster's addresses or names.",
        "Remove what is named, or use another cluster with --cluster minikube or --context.",
    ),
    Cause(
        "local-cluster-context-taken",
        Exit.NO_CLUSTER,
        "The kubeconfig has another cluster under the local cluster's name.",
        "Rename or remove it there, or set KUBECONFIG to another file.",
    ),
    Cause(
        "kubeconfig-unusable",
        Exit.NO_CLUSTER,
        "The kubeconfig cannot be read or written.",
        "Mend or move the named file, or set KUBECONFIG to another one.",
    ),
    Cause(
        "image-build-failed",
        Exit.UNHEALTHY,
        "A container image could be neither pulled nor built.",
        "Make a container registry or the package registries reachable, then repeat.",
    ),
    Cause(
        "usage",
        Exit.USAGE,
        "The command line was not understood.",
        "See `learnflow-infra --help`.",
    ),
    Cause(
        "settings-invalid",
        Exit.USAGE,
        "The settings file holds something that is no setting, or no valid value of one.",
        "Correct the named setting; every one stands in infra.toml with its default.",
    ),
    Cause(
        "settings-misplaced",
        Exit.USAGE,
        "The working folder has an infra.toml that is not the one that is read.",
        "Move it to learnflow-app/phase-2-infrastructure, or name it with --settings.",
    ),
    Cause(
        "settings-not-found",
        Exit.USAGE,
        "A settings file declared what is deployed, and none was found: what it declared would be "
        "removed.",
        "Repeat in the project's folder, or name the file with --settings.",
    ),
    Cause(
        "setting-fixed",
        Exit.USAGE,
        "A setting was changed that cannot change while the data is kept.",
        "Set it back, or remove the data with `learnflow-infra down --purge`.",
    ),
    Cause(
        "password-unusable",
        Exit.USAGE,
        "A password of one's own in a credentials Secret is not one that all clients take alike.",
        "Write it anew, or remove the named key; then run `learnflow-infra up`.",
    ),
    Cause(
        "host-port-taken",
        Exit.USAGE,
        "Another program listens on a port that `connect` opens.",
        "End that program, or set another host_port.",
    ),
    Cause(
        "cache-unsafe",
        Exit.USAGE,
        "The cache folder, whose programs are run, can be written to by others.",
        "Make it your own (`chown`, `chmod o-w`), or set XDG_CACHE_HOME to another folder.",
    ),
    Cause(
        "folder-unwritable",
        Exit.USAGE,
        "A folder could not be written to.",
        "Name another folder, or change its permissions.",
    ),
    Cause(
        "declined",
        Exit.INTERRUPTED,
        "The question was answered with no.",
        "Answer y, or pass --yes.",
    ),
    Cause(
        "interrupted",
        Exit.INTERRUPTED,
        "The command was interrupted.",
        "Run it again: it goes on from where it stopped.",
    ),
    Cause(
        "internal-error",
        Exit.UNHEALTHY,
        "A defect of this tool.",
        "Report it with the command that led to it.",
        untested="it would be mended.",
    ),
    Cause(
        "cluster-not-found",
        Exit.NO_CLUSTER,
        "There is neither Minikube nor a local cluster, nor a named context.",
        "Install Minikube (https://minikube.sigs.k8s.io/docs/start) and run `minikube start`, "
        "or name a cluster with --context.",
    ),
    Cause(
        "cluster-not-running",
        Exit.NO_CLUSTER,
        "The cluster is there but does not run.",
        "Start it with `learnflow-infra up`.",
    ),
    Cause(
        "cluster-unreachable",
        Exit.NO_CLUSTER,
        "The context's API server does not answer, or something else does.",
        "Start the cluster, or name another with --context.",
    ),
    Cause(
        "api-slow",
        Exit.DEADLINE,
        "The API server took too long for one request.",
        "Look at the control plane's load, then repeat.",
    ),
    Cause(
        "api-certificate-refused",
        Exit.NO_CLUSTER,
        "The API server's certificate is not one that the context trusts.",
        "Fetch the cluster's kubeconfig again, or name another context with --context.",
    ),
    Cause(
        "api-error",
        Exit.UNHEALTHY,
        "The API server refused a request, and not for a reason that is known here.",
        "Read its message, and the control plane's logs; then repeat.",
    ),
    Cause(
        "identity-refused",
        Exit.NO_CLUSTER,
        "The API server does not accept the context's credentials.",
        "Renew them, or name another context with --context.",
    ),
    Cause(
        "credential-plugin-missing",
        Exit.NO_CLUSTER,
        "The program that the kubeconfig takes the context's credentials from is not installed.",
        "Install it as the message says, or name another context with --context.",
    ),
    Cause(
        "credential-plugin-terminal",
        Exit.NO_CLUSTER,
        "The program that the kubeconfig takes the context's credentials from asks at a terminal.",
        "Repeat the command at a terminal.",
    ),
    Cause(
        "credential-plugin-failed",
        Exit.NO_CLUSTER,
        "The program that the kubeconfig takes the context's credentials from gave none.",
        "Log in with it at a terminal, then repeat.",
    ),
    Cause(
        "proxy-failed",
        Exit.NO_CLUSTER,
        "The proxy that the environment or the kubeconfig names does not lead to the API server.",
        "Mend the proxy, or add the API server's address to NO_PROXY.",
    ),
    Cause(
        "permission-missing",
        Exit.NO_RESOURCES,
        "The context's user may not do something that is needed.",
        "Ask the cluster's administrator for the named verb and resource.",
    ),
    Cause(
        "kubectl-missing",
        Exit.NO_CLUSTER,
        "kubectl is needed and not there.",
        "Install kubectl and put it on the PATH; the local cluster brings its own by "
        "`learnflow-infra cluster up`.",
    ),
    Cause(
        "kubectl-failed",
        Exit.NO_CLUSTER,
        "kubectl could not serve the context.",
        "Check the context with `kubectl config get-contexts`.",
    ),
    Cause(
        "minikube-broken",
        Exit.NO_CLUSTER,
        "minikube failed, or gave no usable answer in time.",
        "Run the named command by hand, or name a cluster with --context.",
    ),
    Cause(
        "minikube-start-failed",
        Exit.NO_CLUSTER,
        "minikube could not start its stopped profile.",
        "Run `minikube start` by hand and read `minikube logs`.",
    ),
)

register(
    Rank.DEPLOYMENT,
    Cause(
        "room-missing",
        Exit.NO_RESOURCES,
        "The nodes have not enough CPU or memory left.",
        "Free some, give the cluster more, or lower cpu and memory in infra.toml.",
    ),
    Cause(
        "storage-class-missing",
        Exit.NO_RESOURCES,
        "No StorageClass can provide the volumes.",
        "Set storage_class to one that exists, or make one the default.",
        shared=True,
    ),
    Cause(
        "namespace-missing",
        Exit.USAGE,
        "There is no namespace of that name.",
        "Name another one; `kubectl get namespaces` lists them.",
    ),
    Cause(
        "namespace-terminating",
        Exit.UNHEALTHY,
        "The namespace is being deleted.",
        "Wait until it is gone, then repeat.",
        shared=True,
    ),
    Cause(
        "foreign-object",
        Exit.UNHEALTHY,
        "An object of that name is there and is not this scope's.",
        "Rename or remove it, or set another namespace in infra.toml.",
    ),
    Cause(
        "apply-refused",
        Exit.UNHEALTHY,
        "The API server refused an object.",
        "Read its reason; a quota, a policy or a webhook may stand behind it.",
    ),
    Cause(
        "not-deployed",
        Exit.UNHEALTHY,
        "The service is not in the cluster.",
        "Run `learnflow-infra up`.",
    ),
    Cause(
        "scaled-down",
        Exit.UNHEALTHY,
        "Somebody scaled the service to fewer pods than the settings say.",
        "Run `learnflow-infra up`, which scales it back.",
    ),
    Cause(
        "too-many-pods",
        Exit.UNHEALTHY,
        "Somebody scaled the service to more pods than the settings say: its Service sends clients "
        "to pods that share no data with the others.",
        "Run `learnflow-infra up`, which scales it back and keeps the volumes.",
    ),
    Cause(
        "stray-pod",
        Exit.UNHEALTHY,
        "A pod that is none of the service's carries its labels, so that its Service sends clients "
        "there as well.",
        "Delete the pod, or the labels from what makes it, if it is not to be this service.",
    ),
)

register(
    Rank.PODS,
    Cause(
        "quota-exceeded",
        Exit.NO_RESOURCES,
        "A ResourceQuota of the namespace leaves no room for a pod or a volume.",
        "Raise the quota, or lower cpu, memory or volume in infra.toml.",
    ),
    Cause(
        "quota-unspecified",
        Exit.NO_RESOURCES,
        "A ResourceQuota of the namespace counts something that the pods do not ask for.",
        "Give the namespace a LimitRange with a default for it, then run `learnflow-infra up`.",
    ),
    Cause(
        "limit-range-refused",
        Exit.NO_RESOURCES,
        "A LimitRange of the namespace forbids what a pod or a volume asks for.",
        "Change the LimitRange, or cpu, memory or volume in infra.toml.",
    ),
    Cause(
        "pod-security-refused",
        Exit.NO_RESOURCES,
        "The namespace's Pod Security level forbids a pod.",
        "Relabel the namespace, or set another one in infra.toml.",
    ),
    Cause(
        "webhook-refused",
        Exit.NO_RESOURCES,
        "An admission webhook or policy refuses a pod.",
        "Ask for an exception from who runs the named policy.",
    ),
    Cause(
        "webhook-failing",
        Exit.UNHEALTHY,
        "An admission webhook that must agree to a pod does not answer.",
        "Mend or remove it: `kubectl get "
        "validatingwebhookconfigurations,mutatingwebhookconfigurations`.",
    ),
    Cause(
        "pod-create-refused",
        Exit.UNHEALTHY,
        "The API server refuses to create a pod.",
        "Read its reason with `kubectl describe statefulset`.",
    ),
    Cause(
        "node-not-ready",
        Exit.UNHEALTHY,
        "A node does not work.",
        "Look at it with `kubectl describe node`, or restart it.",
        shared=True,
    ),
    Cause(
        "kubelet-unavailable",
        Exit.UNHEALTHY,
        "A node's kubelet does not run, or has just started and does not know its pods yet.",
        "Repeat in a minute; if it stays, look at the node with `kubectl describe node`, and "
        "restart it.",
        heals=True,
        shared=True,
    ),
    Cause(
        "node-under-pressure",
        Exit.NO_RESOURCES,
        "A node is short of memory, disk or process ids.",
        "Free some of what `kubectl describe node` says is short.",
        shared=True,
    ),
    Cause(
        "node-disk-full",
        Exit.NO_RESOURCES,
        "A node's disk is full.",
        "Remove what is not needed there, or give it more room, then repeat.",
        shared=True,
    ),
    Cause(
        "pod-evicted",
        Exit.NO_RESOURCES,
        "A node has put a pod out for lack of resources.",
        "Free memory or disk on the node, or give the cluster more.",
    ),
    Cause(
        "unschedulable-cpu",
        Exit.NO_RESOURCES,
        "No node has enough CPU left for a pod.",
        "Free some, give the cluster more, or lower cpu in infra.toml.",
    ),
    Cause(
        "unschedulable-memory",
        Exit.NO_RESOURCES,
        "No node has enough memory left for a pod.",
        "Free some, give the cluster more, or lower memory in infra.toml.",
    ),
    Cause(
        "unschedulable-pods",
        Exit.NO_RESOURCES,
        "The nodes may run no more pods.",
        "Remove some, or add a node.",
    ),
    Cause(
        "unschedulable-volume",
        Exit.NO_RESOURCES,
        "A pod's volume is where no node can take the pod.",
        "Bring back a node of the volume's zone, or remove the data with "
        "`learnflow-infra down --purge`.",
    ),
    Cause(
        "unschedulable-affinity",
        Exit.NO_RESOURCES,
        "No node is one that a pod may be on.",
        "Label a node as the named affinity or selector asks, or add one.",
    ),
    Cause(
        "unschedulable-taint",
        Exit.NO_RESOURCES,
        "Every node has a taint that a pod does not tolerate, or is cordoned.",
        "Remove the taint with `kubectl taint`, or `kubectl uncordon` a node.",
    ),
    Cause(
        "unschedulable",
        Exit.NO_RESOURCES,
        "No node can take a pod.",
        "Free resources, or lower cpu and memory in infra.toml.",
    ),
    Cause(
        "volume-deletion-pending",
        Exit.UNHEALTHY,
        "A claim was deleted while its pod runs: when the pod ends, the data is gone. Nothing "
        "takes a deletion back.",
        "Copy what is needed out of the service, which still runs (`learnflow-infra connect` leads "
        "there). Then delete the pod with `kubectl delete pod` and run `learnflow-infra up`: it "
        "begins with an empty volume.",
    ),
    Cause(
        "volume-lost",
        Exit.UNHEALTHY,
        "The volume that a claim was bound to is gone.",
        "Bring the PersistentVolume back, or remove the claim with `learnflow-infra down --purge`.",
    ),
    Cause(
        "volume-not-new",
        Exit.UNHEALTHY,
        "A volume that was given out as a new one holds the data of an earlier deployment.",
        "Remove it with `learnflow-infra down --purge` and what that then names as left; then "
        "run `learnflow-infra up`.",
    ),
    Cause(
        "volume-left",
        Exit.UNHEALTHY,
        "Volumes are still there after their claims were purged, and the data is in them.",
        "Remove the named storage, then the volumes with `kubectl delete persistentvolume`.",
    ),
    Cause(
        "volume-provisioning-failed",
        Exit.UNHEALTHY,
        "The StorageClass's provisioner could not make a volume.",
        "Read its reason with `kubectl describe pvc`.",
    ),
    Cause(
        "volume-unbound",
        Exit.UNHEALTHY,
        "A volume claim is not bound.",
        "Look at its events with `kubectl describe pvc`.",
    ),
    Cause(
        "scheduler-stalled",
        Exit.UNHEALTHY,
        "A pod's claims are bound, and the scheduler has not tried the pod again since.",
        "Run `learnflow-infra up`, which makes it try; by itself it does within five minutes.",
    ),
    Cause(
        "volume-mount-failed",
        Exit.UNHEALTHY,
        "A node could not attach or mount a pod's volume.",
        "Read its reason with `kubectl describe pod`.",
    ),
    Cause(
        "pod-sandbox-failed",
        Exit.UNHEALTHY,
        "A node could not set up a pod's network or sandbox.",
        "Look at the node's network plug-in and container runtime with `kubectl describe pod`.",
    ),
    Cause(
        "image-name-invalid",
        Exit.UNHEALTHY,
        "The image's name is no valid reference.",
        "Correct image in infra.toml.",
    ),
    Cause(
        "image-absent",
        Exit.UNHEALTHY,
        "The image is not on the node and may not be pulled.",
        "Load it into the cluster.",
    ),
    Cause(
        "image-not-found",
        Exit.UNHEALTHY,
        "The registry has no image of that name and tag.",
        "Correct image in infra.toml.",
    ),
    Cause(
        "image-not-buildable",
        Exit.UNHEALTHY,
        "An image that no registry gave is none of those that can be built from packages.",
        "Correct image in infra.toml or leave it out; or load the image into the cluster, where "
        "its registry cannot be reached from here.",
    ),
    Cause(
        "image-denied",
        Exit.UNHEALTHY,
        "The registry does not let the cluster have the image.",
        "Check the image's name, or give the namespace's default ServiceAccount an "
        "imagePullSecret.",
    ),
    Cause(
        "image-pull-limited",
        Exit.UNHEALTHY,
        "The registry refuses more pulls for now.",
        "Wait, log in to the registry, or set images.source to packages.",
        shared=True,
    ),
    Cause(
        "image-registry-unreachable",
        Exit.UNHEALTHY,
        "The node cannot reach the image's registry.",
        "Mend the node's way to it, or set images.source to packages.",
        shared=True,
    ),
    Cause(
        "image-pull-slow",
        Exit.UNHEALTHY,
        "A node is still pulling an image.",
        "Wait and repeat, or look at the node's way to the image's registry.",
    ),
    Cause(
        "image-not-pulled",
        Exit.UNHEALTHY,
        "The cluster could not get an image.",
        "Check the image's name and the way to its registry, or set images.source to packages.",
    ),
    Cause(
        "secret-missing",
        Exit.UNHEALTHY,
        "A pod refers to a Secret that is not there.",
        "Run `learnflow-infra up`, which makes its objects again.",
    ),
    Cause(
        "config-map-missing",
        Exit.UNHEALTHY,
        "A pod refers to a ConfigMap that is not there.",
        "Run `learnflow-infra up`, which makes its objects again.",
    ),
    Cause(
        "key-missing",
        Exit.UNHEALTHY,
        "A pod refers to a key that its Secret or ConfigMap does not have.",
        "Run `learnflow-infra up`, which makes its objects again.",
    ),
    Cause(
        "container-config",
        Exit.UNHEALTHY,
        "A container's configuration cannot be used.",
        "Read its reason with `kubectl describe pod`.",
    ),
    Cause(
        "container-create",
        Exit.UNHEALTHY,
        "The container runtime could not create the container.",
        "Read its reason with `kubectl describe pod`.",
    ),
    Cause(
        "container-run",
        Exit.UNHEALTHY,
        "The container runtime could not run the container.",
        "Read its reason with `kubectl describe pod`.",
    ),
    Cause(
        "init-container-failing",
        Exit.UNHEALTHY,
        "An init container ends with an error, so that the pod does not start.",
        "Read its log with `kubectl logs --previous -c` and its name.",
    ),
    Cause(
        "volume-unwritable",
        Exit.UNHEALTHY,
        "The server's user may not write to its volume.",
        "Give the folder to the named user with `chown` where the volume lies, or use a "
        "StorageClass whose volumes heed fsGroup; then run `learnflow-infra up`.",
        log="is not writable: owner|has wrong ownership",
    ),
    Cause(
        "image-unfit",
        Exit.UNHEALTHY,
        "The image lacks a program, the user or the major version that the service needs.",
        "Set image in infra.toml to the official one, or to one made from it.",
        log=r"bash: line \d+: .*(not found|No such file)|could not look up effective user|"
        "is too old a version",
    ),
    Cause(
        "volume-full",
        Exit.UNHEALTHY,
        "A volume has no space left.",
        "Free some; or, where its StorageClass allows it, enlarge its claim with `kubectl patch "
        "pvc` and leave volume in infra.toml as it is.",
        # The second is Java's: a file that it has mapped cannot grow.
        log="no space left on device|fault occurred in an unsafe memory access",
    ),
    Cause(
        "out-of-memory",
        Exit.UNHEALTHY,
        "A container was killed because it used more memory than its limit.",
        "Raise memory in infra.toml.",
        log="java.lang.OutOfMemoryError",
    ),
    Cause(
        "startup-probe-killing",
        Exit.UNHEALTHY,
        "A container is killed because it takes too long to start.",
        "Read its log with `kubectl logs --previous`; give it more cpu in infra.toml.",
    ),
    Cause(
        "liveness-probe-killing",
        Exit.UNHEALTHY,
        "A container is killed because it no longer answers its liveness probe.",
        "Read its log with `kubectl logs --previous`.",
    ),
    Cause(
        "container-crashing",
        Exit.UNHEALTHY,
        "A container ends again and again.",
        "Read its last words with `kubectl logs --previous`.",
    ),
    Cause(
        "pods-not-ready",
        Exit.UNHEALTHY,
        "Not all pods are Running and Ready.",
        "Run `learnflow-infra up`, which waits for them.",
        heals=True,
    ),
    Cause(
        "job-failed",
        Exit.UNHEALTHY,
        "A Job gave up.",
        "Read its pods' logs with `kubectl logs job/` and its name.",
    ),
    Cause(
        "service-without-endpoints",
        Exit.UNHEALTHY,
        "A Service's selector fits no pod.",
        "Compare `kubectl get service -o wide` with the pods' labels.",
    ),
    Cause(
        "connection-missing",
        Exit.UNHEALTHY,
        "The connection Secret is not there.",
        "Run `learnflow-infra up`, which makes it again.",
    ),
    Cause(
        "connection-differs",
        Exit.UNHEALTHY,
        "The connection Secret, which applications bind to, is not what the settings and the "
        "credentials Secret make it: somebody changed one of them since the last `up`.",
        "Run `learnflow-infra up`, which writes it and sets the server's passwords; then restart "
        "what was bound to it.",
    ),
    Cause(
        "image-load-failed",
        Exit.UNHEALTHY,
        "A built image could not be loaded into the cluster.",
        "Look at the node's disk, then repeat.",
    ),
)

register(
    Rank.SERVICE,
    Cause(
        "stream-refused",
        Exit.NO_RESOURCES,
        "A policy of the cluster refuses exec into pods or port-forwards, on which proofs and "
        "`connect` depend.",
        "Ask who runs the named policy or webhook to allow pods/exec and pods/portforward in the "
        "namespace.",
        shared=True,
    ),
    Cause(
        "service-unreachable",
        Exit.UNHEALTHY,
        "An address of the service accepts no connection.",
        "Look at the Service's endpoints with `kubectl get endpointslices`.",
        heals=True,
    ),
    Cause(
        "round-trip-failed",
        Exit.UNHEALTHY,
        "Data that was written did not come back as it should.",
        "Read the service's log with `kubectl logs`.",
    ),
    Cause(
        "reconcile-failed",
        Exit.UNHEALTHY,
        "What the settings declare inside the service could not be made so.",
        "Read the service's log with `kubectl logs`.",
    ),
    Cause(
        "name-unknown",
        Exit.UNHEALTHY,
        "The cluster's DNS does not know a name of the service.",
        "Run `learnflow-infra up`, which makes the Service again.",
        heals=True,
    ),
    Cause(
        "dns-unavailable",
        Exit.UNHEALTHY,
        "The cluster's DNS does not answer.",
        "Look at it with `kubectl get pods -n kube-system -l k8s-app=kube-dns`.",
        heals=True,
        shared=True,
    ),
    Cause(
        "connection-lost",
        Exit.UNHEALTHY,
        "The service closed a connection in the middle of its proof.",
        "Repeat; if it stays, read the service's log with `kubectl logs`.",
        heals=True,
    ),
    Cause(
        "service-slow",
        Exit.UNHEALTHY,
        "The service took too long for one step of its proof.",
        "Look at the node's load with `kubectl top node`, then repeat.",
        heals=True,
    ),
    Cause(
        "certificate-authority",
        Exit.UNHEALTHY,
        "The server's certificate is not signed by the deployment's authority.",
        "Run `learnflow-infra up`, which signs a new one.",
    ),
    Cause(
        "certificate-expired",
        Exit.UNHEALTHY,
        "The server's certificate has ended, or a clock is wrong.",
        "Run `learnflow-infra up`, which signs a new one; the server keeps running.",
    ),
    Cause(
        "certificate-ending",
        Exit.UNHEALTHY,
        "The server's certificate ends within 30 days.",
        "Run `learnflow-infra up`, which signs a new one; the server keeps running.",
    ),
    Cause(
        "certificate-name",
        Exit.UNHEALTHY,
        "The server's certificate is not for the name that clients use.",
        "Run `learnflow-infra up`, which signs one for all names of the Services.",
    ),
    Cause(
        "certificate-pending",
        Exit.UNHEALTHY,
        "The server has not taken up its new certificate yet.",
        "Repeat `learnflow-infra up`; a node brings a Secret's change to a pod within two minutes.",
        heals=True,
        untested="it takes a kubelet that runs commands and updates no volumes.",
    ),
    Cause(
        "tls-missing",
        Exit.UNHEALTHY,
        "The server does not offer TLS, which the connection Secret asks for.",
        "Run `learnflow-infra up`, which sets the listeners and the Secret again.",
    ),
    Cause(
        "tls-refused",
        Exit.UNHEALTHY,
        "Client and server could not agree on a TLS session.",
        "Run `learnflow-infra up`; if it stays, read the service's log with `kubectl logs`.",
    ),
    Cause(
        "credentials-missing",
        Exit.UNHEALTHY,
        "The Secret that a service starts with is not there.",
        "Run `learnflow-infra up`, which makes a new one.",
    ),
)

register(
    Rank.REST,
    Cause(
        "report-unwritable",
        Exit.USAGE,
        "The file that --report names could not be written.",
        "Name another one, in a folder that is yours.",
    ),
    Cause(
        "step-slow",
        Exit.UNHEALTHY,
        "A step took longer than the time that it may take, which is not the command's.",
        "Look at what is named, and at the machine's load; then repeat.",
        heals=True,
    ),
    Cause(
        "deadline-passed",
        Exit.DEADLINE,
        "The command's time was over before its work was done.",
        "Give it more with --timeout, or look with `learnflow-infra status`.",
    ),
)
