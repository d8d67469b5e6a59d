// Package sandbox is what the network plug-in tells the enforcer of policies: which address a pod
// was given. By net/rpc on a Unix socket, as `Sandboxes.Add` and `Sandboxes.Remove`.
package sandbox

// Sandbox is a pod's place in the node's network.
type Sandbox struct {
	ID        string // the runtime's
	Namespace string
	Pod       string
	UID       string // of the pod: its name may have been another's
	Address   string // IPv4
}
