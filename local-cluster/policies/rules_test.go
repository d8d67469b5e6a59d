package policies

import (
	"reflect"
	"slices"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

const (
	server, client, stranger, resolver = "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.10"
	itself                             = "ip saddr " + server + " accept"
)

// shared is a namespace with a server and its client; a stranger lives in another one.
func shared(policies ...*networking.NetworkPolicy) world {
	tcp := func(name string, number int32) core.ContainerPort {
		return core.ContainerPort{Name: name, ContainerPort: number, Protocol: core.ProtocolTCP}
	}
	return world{
		network: "10.0.0.0/24",
		dns: member{
			address: resolver, namespace: "kube-system", labels: labels.Set{"k8s-app": "kube-dns"},
		},
		pods: []member{
			{server, "data", labels.Set{"app": "server"}, []core.ContainerPort{tcp("sql", 5432)}},
			{client, "data", labels.Set{"app": "client"}, []core.ContainerPort{tcp("sql", 6432)}},
			{stranger, "other", labels.Set{"app": "client"}, nil},
		},
		namespaces: map[string]labels.Set{
			"data": {"team": "a"}, "other": {"team": "b"}, "kube-system": {"team": "none"},
		},
		policies: policies,
	}
}

// policy reads a specification as the API server hands it out: with its defaults filled in.
func policy(t *testing.T, spec string) *networking.NetworkPolicy {
	t.Helper()
	read := networking.NetworkPolicy{ObjectMeta: meta.ObjectMeta{Namespace: "data", Name: "it"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &read.Spec); err != nil {
		t.Fatal(err)
	}
	return &read
}

func TestNobodyIsIsolatedWithoutAPolicy(t *testing.T) {
	wanted := map[string][]string{
		"ingress": {
			"ip daddr " + server + " accept", "ip daddr " + client + " accept",
			"ip daddr " + stranger + " accept", "ip daddr 10.0.0.0/24 " + refuse,
		},
		"egress": {
			"ip saddr " + server + " accept", "ip saddr " + client + " accept",
			"ip saddr " + stranger + " accept", "ip saddr 10.0.0.0/24 " + refuse,
		},
	}
	if made := shared().chains(); !reflect.DeepEqual(made, wanted) {
		t.Errorf("made %q", made)
	}
}

func TestAPolicyIsolatesTheSideAndThePodsThatItNames(t *testing.T) {
	for name, each := range map[string]struct {
		spec   string
		chains []string
	}{
		"ingress of one":      {"{podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress]}", []string{"ingress-" + server}},
		"egress of one":       {"{podSelector: {matchLabels: {app: client}}, policyTypes: [Egress]}", []string{"egress-" + client}},
		"both of all":         {"{podSelector: {}, policyTypes: [Ingress, Egress]}", []string{"egress-" + server, "egress-" + client, "ingress-" + server, "ingress-" + client}},
		"an expression":       {"{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [client]}]}, policyTypes: [Ingress]}", []string{"ingress-" + server}},
		"nobody by that name": {"{podSelector: {matchLabels: {app: none}}, policyTypes: [Ingress]}", nil},
		// A rule counts only for a side that the types name.
		"rules without their type": {"{podSelector: {}, policyTypes: [Ingress], egress: [{}]}", []string{"ingress-" + server, "ingress-" + client}},
	} {
		t.Run(name, func(t *testing.T) {
			made := shared(policy(t, each.spec)).chains()
			var isolated []string
			for chain := range made {
				if chain != "ingress" && chain != "egress" {
					isolated = append(isolated, chain)
				}
			}
			slices.Sort(isolated)
			slices.Sort(each.chains)
			if !slices.Equal(isolated, each.chains) {
				t.Errorf("isolated %q", isolated)
			}
		})
	}
}

func TestAnIsolatedPodIsReachedByWhatItsPoliciesAllowAlone(t *testing.T) {
	for name, each := range map[string]struct {
		rules   string
		allowed []string
	}{
		"nothing":            {"[]", nil},
		"everybody":          {"[{}]", []string{"accept"}},
		"pods of its own":    {"[{from: [{podSelector: {matchLabels: {app: client}}}]}]", []string{"ip saddr { " + client + " } accept"}},
		"all of a namespace": {"[{from: [{namespaceSelector: {matchLabels: {team: b}}}]}]", []string{"ip saddr { " + stranger + " } accept"}},
		"pods of any namespace": {
			"[{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: client}}}]}]",
			[]string{"ip saddr { " + client + ", " + stranger + " } accept"},
		},
		"the cluster's DNS":  {"[{from: [{namespaceSelector: {matchLabels: {team: none}}}]}]", []string{"ip saddr { " + resolver + " } accept"}},
		"a peer that is not": {"[{from: [{podSelector: {matchLabels: {app: none}}}]}]", nil},
		"a block without its parts": {
			"[{from: [{ipBlock: {cidr: 10.1.2.3/16, except: [10.1.1.0/24, 10.1.2.0/24]}}]}]",
			[]string{"ip saddr 10.1.0.0/16 ip saddr != 10.1.1.0/24 ip saddr != 10.1.2.0/24 accept"},
		},
		"a block of the other family": {"[{from: [{ipBlock: {cidr: 'fd00::/8'}}]}]", nil},
		"a numbered port":             {"[{ports: [{protocol: TCP, port: 5432}]}]", []string{"tcp dport 5432 accept"}},
		"a range":                     {"[{ports: [{protocol: UDP, port: 53, endPort: 60}]}]", []string{"udp dport 53-60 accept"}},
		"a protocol":                  {"[{ports: [{protocol: SCTP}]}]", []string{"meta l4proto sctp accept"}},
		"its own port by name":        {"[{ports: [{protocol: TCP, port: sql}]}]", []string{"tcp dport 5432 accept"}},
		"a name of another protocol":  {"[{ports: [{protocol: UDP, port: sql}]}]", nil},
		"any of the peers on any of the ports": {
			"[{from: [{podSelector: {}}, {ipBlock: {cidr: 10.9.0.0/16}}], ports: [{protocol: TCP, port: 1}, {protocol: TCP, port: 2}]}]",
			[]string{
				"ip saddr { " + server + ", " + client + " } tcp dport 1 accept", "ip saddr 10.9.0.0/16 tcp dport 1 accept",
				"ip saddr { " + server + ", " + client + " } tcp dport 2 accept", "ip saddr 10.9.0.0/16 tcp dport 2 accept",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			spec := "{podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress], ingress: " + each.rules + "}"
			made := shared(policy(t, spec)).chains()["ingress-"+server]
			wanted := append(append([]string{itself}, each.allowed...), refuse)
			if !slices.Equal(made, wanted) {
				t.Errorf("made %q", made)
			}
		})
	}
}

func TestANamedPortOfEgressIsEachPeersOwn(t *testing.T) {
	spec := "{podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}], ports: [{protocol: TCP, port: sql}]}]}"
	made := shared(policy(t, spec)).chains()["egress-"+client]
	wanted := []string{
		"ip daddr " + client + " accept",
		"ip daddr " + server + " tcp dport 5432 accept",
		"ip daddr " + client + " tcp dport 6432 accept",
		refuse,
	}
	if !slices.Equal(made, wanted) {
		t.Errorf("made %q", made)
	}
}

func TestPoliciesAdd(t *testing.T) {
	none := policy(t, "{podSelector: {}, policyTypes: [Ingress]}")
	some := policy(t, "{podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress], ingress: [{ports: [{protocol: TCP, port: 1}]}]}")
	chains := shared(none, some).chains()
	if made := chains["ingress-"+server]; !slices.Equal(made, []string{itself, "tcp dport 1 accept", refuse}) {
		t.Errorf("made %q", made)
	}
	if made := chains["ingress-"+client]; !slices.Equal(made, []string{"ip saddr " + client + " accept", refuse}) {
		t.Errorf("made %q", made)
	}
}
