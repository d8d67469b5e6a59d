// Package policies enforces NetworkPolicies on a node that is the whole cluster, with nftables.
//
// What it does: all that networking.k8s.io/v1 allows to say about pods (both directions; pods,
// namespaces and blocks of addresses as peers; numbered, named and ranged ports of TCP, UDP and
// SCTP), for IPv4. A refused connection is told so at once. What the node's own processes send to
// pods (kubelet, port-forward) is not subject to policies; what pods send to the node is.
//
// A change is one transaction of the kernel's. Connections that stand when a policy changes stay.
// A pod's rules are there before its first container starts, and go with its sandbox.
package policies

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	listcore "k8s.io/client-go/listers/core/v1"
	listnetworking "k8s.io/client-go/listers/networking/v1"
	"sigs.k8s.io/knftables"

	"learnflow/local-cluster/sandbox"
)

const (
	table       = "learnflow-policies"
	podPatience = 10 * time.Second // for the API to tell of a pod that the kubelet already starts
	nftPatience = 10 * time.Second
	suffix      = ".json"
)

// hooks are where new connections come by: what passes through the node, and what pods send to it.
// The priority puts ingress after egress: an accept ends only its own hook's chain.
var hooks = []struct {
	name     string
	hook     knftables.BaseChainHook
	priority knftables.BaseChainPriority
	target   string
}{
	{"forward-egress", knftables.ForwardHook, "0", egress.chain},
	{"forward-ingress", knftables.ForwardHook, "1", ingress.chain},
	{"input-egress", knftables.InputHook, "0", egress.chain},
}

// enforcer keeps the kernel's rules as the API and the runtime's sandboxes ask for.
type enforcer struct {
	network    string
	dns        string
	folder     string // remembers the sandboxes while this process is not there
	pods       listcore.PodLister
	namespaces listcore.NamespaceLister
	policies   listnetworking.NetworkPolicyLister
	nft        knftables.Interface

	mutex     sync.Mutex
	sandboxes map[string]sandbox.Sandbox
	applied   map[string][]string // nil where the kernel's state is not known
}

// Sandboxes is what the network plug-in calls.
type Sandboxes struct{ *enforcer }

// Add returns when the rules for the sandbox's pod are in the kernel.
func (s Sandboxes) Add(added sandbox.Sandbox, _ *struct{}) error {
	err := wait.PollUntilContextTimeout(context.Background(), 5*time.Millisecond, podPatience, true,
		func(context.Context) (bool, error) { return s.pod(added) != nil, nil })
	if err != nil {
		return fmt.Errorf("the API does not know pod %s/%s: %w", added.Namespace, added.Pod, err)
	}
	content, err := json.Marshal(added)
	if err != nil {
		return err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err := os.WriteFile(s.file(added.ID), content, 0o600); err != nil {
		return err
	}
	s.sandboxes[added.ID] = added
	return s.enforce()
}

// Remove returns when nothing is left of the sandbox's rules; one that is not known is no error.
func (s Sandboxes) Remove(id string, _ *struct{}) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err := os.Remove(s.file(id)); err != nil && !os.IsNotExist(err) {
		return err
	}
	delete(s.sandboxes, id)
	return s.enforce()
}

func (e *enforcer) file(id string) string {
	return filepath.Join(e.folder, filepath.Base(id)+suffix)
}

// recall reads which sandboxes there are.
func (e *enforcer) recall() error {
	files, err := filepath.Glob(filepath.Join(e.folder, "*"+suffix))
	if err != nil {
		return err
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var known sandbox.Sandbox
		if err := json.Unmarshal(content, &known); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		e.sandboxes[known.ID] = known
	}
	return nil
}

// pod is the sandbox's pod, unless the API knows none or another one of its name.
func (e *enforcer) pod(of sandbox.Sandbox) *core.Pod {
	pod, err := e.pods.Pods(of.Namespace).Get(of.Pod)
	if err != nil || string(pod.UID) != of.UID {
		return nil
	}
	return pod
}

// world gathers what decides. Call with the mutex held.
func (e *enforcer) world() (world, error) {
	now := world{
		network: e.network,
		dns: member{
			address: e.dns, namespace: "kube-system", labels: labels.Set{"k8s-app": "kube-dns"},
			ports: []core.ContainerPort{
				{Name: "dns", Protocol: core.ProtocolUDP, ContainerPort: 53},
				{Name: "dns-tcp", Protocol: core.ProtocolTCP, ContainerPort: 53},
			},
		},
		namespaces: map[string]labels.Set{},
	}
	for _, each := range e.sandboxes {
		if pod := e.pod(each); pod != nil {
			one := member{address: each.Address, namespace: pod.Namespace, labels: pod.Labels}
			for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
				one.ports = append(one.ports, container.Ports...)
			}
			now.pods = append(now.pods, one)
		}
	}
	slices.SortFunc(now.pods, func(a, b member) int { return strings.Compare(a.address, b.address) })
	namespaces, err := e.namespaces.List(labels.Everything())
	if err != nil {
		return now, err
	}
	for _, each := range namespaces {
		now.namespaces[each.Name] = each.Labels
	}
	if now.policies, err = e.policies.List(labels.Everything()); err != nil {
		return now, err
	}
	slices.SortFunc(now.policies, func(a, b *networking.NetworkPolicy) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return now, nil
}

// enforce writes what differs from the kernel's rules. Call with the mutex held.
func (e *enforcer) enforce() error {
	now, err := e.world()
	if err != nil {
		return err
	}
	wanted := now.chains()
	change := e.nft.NewTransaction()
	if e.applied == nil {
		renew(change)
	}
	for name := range wanted {
		if _, there := e.applied[name]; !there {
			change.Add(&knftables.Chain{Name: name})
		}
	}
	for name, rules := range wanted {
		if applied, there := e.applied[name]; there && slices.Equal(applied, rules) {
			continue
		} else if there {
			change.Flush(&knftables.Chain{Name: name})
		}
		for _, rule := range rules {
			change.Add(&knftables.Rule{Chain: name, Rule: rule})
		}
	}
	for name := range e.applied {
		if _, still := wanted[name]; !still {
			change.Flush(&knftables.Chain{Name: name})
			change.Delete(&knftables.Chain{Name: name})
		}
	}
	if change.NumOperations() == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), nftPatience)
	defer cancel()
	if err := e.nft.Run(ctx, change); err != nil {
		e.applied = nil
		return err
	}
	e.applied = wanted
	return nil
}

// renew begins a transaction with an empty table, whatever was there.
func renew(change *knftables.Transaction) {
	change.Add(&knftables.Table{})
	change.Delete(&knftables.Table{})
	change.Add(&knftables.Table{})
	for _, target := range []string{egress.chain, ingress.chain} {
		change.Add(&knftables.Chain{Name: target})
	}
	for _, each := range hooks {
		change.Add(&knftables.Chain{
			Name:     each.name,
			Type:     knftables.PtrTo(knftables.FilterType),
			Hook:     knftables.PtrTo(each.hook),
			Priority: knftables.PtrTo(each.priority),
		})
		for _, rule := range []string{"ct state established,related accept", "jump " + each.target} {
			change.Add(&knftables.Rule{Chain: each.name, Rule: rule})
		}
	}
}
