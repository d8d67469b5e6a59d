package policies

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const refuse = "reject with icmp type admin-prohibited"

// member is a pod, as policies see it.
type member struct {
	address   string
	namespace string
	labels    labels.Set
	ports     []core.ContainerPort
}

// world is all that decides what may pass: of the same world come the same rules.
type world struct {
	network    string   // of all pods
	pods       []member // sorted by address
	dns        member   // a process of the node: policies let it in as the pod that it is elsewhere
	namespaces map[string]labels.Set
	policies   []*networking.NetworkPolicy // sorted by namespace and name
}

// side is a direction, as the pod at one end sees it.
type side struct {
	chain     string // the one that every new connection of this direction comes by
	kind      networking.PolicyType
	own, peer string // a packet's field with the pod's address, and that with the other's
	entries   func(*networking.NetworkPolicySpec) []entry
}

// entry is one rule of a policy: any of its peers on any of its ports.
type entry struct {
	peers []networking.NetworkPolicyPeer
	ports []networking.NetworkPolicyPort
}

var (
	ingress = side{"ingress", networking.PolicyTypeIngress, "ip daddr", "ip saddr",
		func(spec *networking.NetworkPolicySpec) (all []entry) {
			for _, each := range spec.Ingress {
				all = append(all, entry{each.From, each.Ports})
			}
			return all
		}}
	egress = side{"egress", networking.PolicyTypeEgress, "ip saddr", "ip daddr",
		func(spec *networking.NetworkPolicySpec) (all []entry) {
			for _, each := range spec.Egress {
				all = append(all, entry{each.To, each.Ports})
			}
			return all
		}}
)

// chains gives each chain's rules. An address that is no known pod's is shut off.
func (w world) chains() map[string][]string {
	chains := map[string][]string{}
	for _, side := range []side{ingress, egress} {
		var all []string
		for _, pod := range w.pods {
			verdict := "accept"
			if isolating := w.isolating(side, pod); len(isolating) > 0 {
				name := side.chain + "-" + pod.address
				chains[name] = w.rules(side, pod, isolating)
				verdict = "goto " + name
			}
			all = append(all, fmt.Sprintf("%s %s %s", side.own, pod.address, verdict))
		}
		chains[side.chain] = append(all, fmt.Sprintf("%s %s %s", side.own, w.network, refuse))
	}
	return chains
}

// isolating finds the policies that select the pod for this side.
func (w world) isolating(side side, pod member) (found []*networking.NetworkPolicy) {
	for _, policy := range w.policies {
		if policy.Namespace == pod.namespace &&
			slices.Contains(policy.Spec.PolicyTypes, side.kind) &&
			matches(&policy.Spec.PodSelector, pod.labels) {
			found = append(found, policy)
		}
	}
	return found
}

func (w world) rules(side side, pod member, policies []*networking.NetworkPolicy) []string {
	rules := []string{side.peer + " " + pod.address + " accept"} // none keeps a pod from itself
	for _, policy := range policies {
		for _, entry := range side.entries(&policy.Spec) {
			for _, match := range w.allowed(side, pod, entry) {
				rules = append(rules, strings.TrimSpace(match+" accept"))
			}
		}
	}
	return append(rules, refuse)
}

// allowed gives what an entry lets pass, as matches of a packet.
func (w world) allowed(side side, pod member, entry entry) []string {
	pods, from := w.peers(side, pod.namespace, entry.peers)
	if len(entry.ports) == 0 {
		return from
	}
	var all []string
	for _, port := range entry.ports {
		protocol := strings.ToLower(string(*port.Protocol))
		switch {
		case port.Port == nil:
			all = append(all, combined(from, "meta l4proto "+protocol)...)
		case port.EndPort != nil:
			wanted := fmt.Sprintf("%s dport %d-%d", protocol, port.Port.IntVal, *port.EndPort)
			all = append(all, combined(from, wanted)...)
		case port.Port.Type == intstr.Int:
			wanted := fmt.Sprintf("%s dport %d", protocol, port.Port.IntVal)
			all = append(all, combined(from, wanted)...)
		case side.kind == networking.PolicyTypeIngress:
			for _, number := range named(pod, port) {
				all = append(all, combined(from, fmt.Sprintf("%s dport %d", protocol, number))...)
			}
		default: // each pod at the other end has a port of its own by that name
			for _, other := range pods {
				for _, number := range named(other, port) {
					all = append(all, fmt.Sprintf(
						"%s %s %s dport %d", side.peer, other.address, protocol, number))
				}
			}
		}
	}
	return all
}

// peers gives the pods that are meant, and matches for these and for blocks of addresses.
func (w world) peers(
	side side, namespace string, peers []networking.NetworkPolicyPeer,
) (pods []member, from []string) {
	everyone := append(slices.Clone(w.pods), w.dns)
	if len(peers) == 0 {
		return everyone, []string{""}
	}
	var addresses []string
	for _, each := range everyone {
		if slices.ContainsFunc(peers, func(peer networking.NetworkPolicyPeer) bool {
			return peer.IPBlock == nil && w.selects(peer, namespace, each)
		}) {
			pods = append(pods, each)
			addresses = append(addresses, each.address)
		}
	}
	if len(addresses) > 0 {
		from = append(from, fmt.Sprintf("%s { %s }", side.peer, strings.Join(addresses, ", ")))
	}
	for _, peer := range peers {
		if peer.IPBlock != nil {
			if match := block(side.peer, peer.IPBlock); match != "" {
				from = append(from, match)
			}
		}
	}
	return pods, from
}

func (w world) selects(peer networking.NetworkPolicyPeer, namespace string, pod member) bool {
	if peer.NamespaceSelector == nil {
		return pod.namespace == namespace && matches(peer.PodSelector, pod.labels)
	}
	return matches(peer.NamespaceSelector, w.namespaces[pod.namespace]) &&
		(peer.PodSelector == nil || matches(peer.PodSelector, pod.labels))
}

func combined(from []string, what string) []string {
	all := make([]string, 0, len(from))
	for _, match := range from {
		all = append(all, strings.TrimSpace(match+" "+what))
	}
	return all
}

func named(pod member, port networking.NetworkPolicyPort) (numbers []int32) {
	for _, each := range pod.ports {
		if each.Name == port.Port.StrVal && each.Protocol == *port.Protocol {
			numbers = append(numbers, each.ContainerPort)
		}
	}
	return numbers
}

// matches takes a selector that the API server has checked.
func matches(selector *meta.LabelSelector, set labels.Set) bool {
	parsed, err := meta.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(set)
}

// block matches addresses of a block; nothing for one of IPv6.
func block(field string, block *networking.IPBlock) string {
	whole, err := netip.ParsePrefix(block.CIDR)
	if err != nil || !whole.Addr().Is4() {
		return ""
	}
	match := field + " " + whole.Masked().String()
	for _, each := range block.Except {
		match += " " + field + " != " + each
	}
	return match
}
