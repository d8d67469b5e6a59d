// Command admit is a network plug-in (CNI), the last of its chain: a pod's containers start only
// after the rules for the address that the plug-ins before it gave the pod are in the kernel.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"learnflow/local-cluster/sandbox"
)

const (
	patience = 15 * time.Second
	pause    = 20 * time.Millisecond
)

type config struct {
	types.NetConf
	Socket string `json:"socket"`
}

// arguments are named by the runtime.
type arguments struct {
	types.CommonArgs
	K8S_POD_NAMESPACE types.UnmarshallableString
	K8S_POD_NAME      types.UnmarshallableString
	K8S_POD_UID       types.UnmarshallableString
}

func main() {
	functions := skel.CNIFuncs{Add: add, Del: remove}
	skel.PluginMainFuncs(functions, version.All, "admits pods to the local cluster's network")
}

func add(args *skel.CmdArgs) error {
	var own config
	if err := json.Unmarshal(args.StdinData, &own); err != nil {
		return err
	}
	if err := version.ParsePrevResult(&own.NetConf); err != nil {
		return err
	}
	if own.PrevResult == nil {
		return errors.New("there is no plug-in before this one")
	}
	result, err := current.NewResultFromResult(own.PrevResult)
	if err != nil {
		return err
	}
	if len(result.IPs) != 1 {
		return fmt.Errorf("a pod has one address here, not %d", len(result.IPs))
	}
	var pod arguments
	if err := types.LoadArgs(args.Args, &pod); err != nil {
		return err
	}
	if err := call(own.Socket, "Sandboxes.Add", sandbox.Sandbox{
		ID:        args.ContainerID,
		Namespace: string(pod.K8S_POD_NAMESPACE),
		Pod:       string(pod.K8S_POD_NAME),
		UID:       string(pod.K8S_POD_UID),
		Address:   result.IPs[0].Address.IP.String(),
	}); err != nil {
		return err
	}
	return types.PrintResult(own.PrevResult, own.CNIVersion)
}

func remove(args *skel.CmdArgs) error {
	var own config
	if err := json.Unmarshal(args.StdinData, &own); err != nil {
		return err
	}
	return call(own.Socket, "Sandboxes.Remove", args.ContainerID)
}

func call(socket, method string, argument any) error {
	deadline := time.Now().Add(patience)
	connection, err := net.Dial("unix", socket)
	for err != nil && time.Now().Before(deadline) { // the enforcer is starting
		time.Sleep(pause)
		connection, err = net.Dial("unix", socket)
	}
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := connection.SetDeadline(deadline); err != nil {
		return err
	}
	return rpc.NewClient(connection).Call(method, argument, &struct{}{})
}
