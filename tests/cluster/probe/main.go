// Command probe is all that a test's container does: serve, keep a file, ask others.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(command string, arguments []string) error {
	switch command {
	case "serve": // FOLDER: answers with the file `said`; notes an orderly end in `ended`
		return serve(arguments[0])
	case "write": // FILE TEXT
		return os.WriteFile(arguments[0], []byte(arguments[1]), 0o644)
	case "read": // FILE
		content, err := os.ReadFile(arguments[0])
		fmt.Print(string(content))
		return err
	case "get": // URL
		client := http.Client{Timeout: 2 * time.Second}
		answer, err := client.Get(arguments[0])
		if err != nil {
			return err
		}
		_, err = io.Copy(os.Stdout, answer.Body)
		return err
	case "lookup": // NAME
		addresses, err := net.LookupHost(arguments[0])
		fmt.Print(strings.Join(addresses, " "))
		return err
	}
	return fmt.Errorf("no command %q", command)
}

func serve(folder string) error {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go func() {
		<-ended
		_ = os.WriteFile(folder+"/ended", []byte("orderly"), 0o644)
		os.Exit(0)
	}()
	fmt.Println("serving")
	return http.ListenAndServe(":8080", http.HandlerFunc(
		func(answer http.ResponseWriter, _ *http.Request) {
			content, err := os.ReadFile(folder + "/said")
			if err != nil {
				http.Error(answer, err.Error(), http.StatusNotFound)
				return
			}
			_, _ = answer.Write(content)
		}))
}
