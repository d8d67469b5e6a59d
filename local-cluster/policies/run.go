package policies

import (
	"context"
	"errors"
	"net"
	"net/rpc"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/knftables"

	"learnflow/local-cluster/sandbox"
)

// Settings say where things are: the API's kubeconfig, a private folder for the plug-in's socket
// and what is known of sandboxes, the network of all pods, the address of the cluster's DNS server.
type Settings struct{ Kubeconfig, Folder, Pods, DNS string }

const retryPause = time.Second

// Run enforces until ctx ends; the kernel's rules outlive it.
func Run(ctx context.Context, settings Settings) error {
	config, err := clientcmd.BuildConfigFromFlags("", settings.Kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	nft, err := knftables.New(knftables.IPv4Family, table)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods, policies := factory.Core().V1().Pods(), factory.Networking().V1().NetworkPolicies()
	namespaces := factory.Core().V1().Namespaces()
	enforcer := &enforcer{
		network: settings.Pods, dns: settings.DNS, folder: settings.Folder,
		pods: pods.Lister(), namespaces: namespaces.Lister(), policies: policies.Lister(),
		nft: nft, sandboxes: map[string]sandbox.Sandbox{},
	}
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default: // it is already known that something changed; what it was, the caches tell
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { notify() },
		UpdateFunc: func(any, any) { notify() },
		DeleteFunc: func(any) { notify() },
	}
	for _, informer := range []cache.SharedIndexInformer{
		pods.Informer(), namespaces.Informer(), policies.Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(settings.Folder, 0o700); err != nil {
		return err
	}
	if err := enforcer.recall(); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	if ctx.Err() != nil {
		return nil
	}
	listener, err := listen(enforcer, filepath.Join(settings.Folder, "socket"))
	if err != nil {
		return err
	}
	defer listener.Close()
	notify()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			enforcer.mutex.Lock()
			err := enforcer.enforce()
			enforcer.mutex.Unlock()
			if err != nil {
				klog.FromContext(ctx).Error(err, "The rules are not as they should be")
				time.AfterFunc(retryPause, notify)
			}
		}
	}
}

func listen(enforcer *enforcer, socket string) (net.Listener, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	server := rpc.NewServer()
	if err := server.Register(Sandboxes{enforcer}); err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	go server.Accept(listener)
	return listener, nil
}
