package main

import (
	"errors"
	"os"

	"github.com/coredns/caddy"
	_ "github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
)

// runDNS serves the cluster's names with CoreDNS, as the named Corefile says.
func runDNS() error {
	if len(os.Args) != 2 {
		return errors.New("usage: dns COREFILE")
	}
	corefile, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	caddy.Quiet = true
	caddy.TrapSignals()
	server, err := caddy.Start(caddy.CaddyfileInput{
		Contents: corefile, Filepath: os.Args[1], ServerTypeName: "dns",
	})
	if err != nil {
		return err
	}
	server.Wait()
	return nil
}
