package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"learnflow/local-cluster/policies"
)

// runPolicies enforces network policies until it is asked to end.
func runPolicies() error {
	if len(os.Args) != 5 {
		return errors.New("usage: policies KUBECONFIG FOLDER POD_NETWORK DNS_ADDRESS")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return policies.Run(ctx, policies.Settings{
		Kubeconfig: os.Args[1], Folder: os.Args[2], Pods: os.Args[3], DNS: os.Args[4],
	})
}
