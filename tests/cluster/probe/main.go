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
	case "listen": // tcp:PORT|udp:PORT…: sends back what it gets
		return listen(arguments)
	case "dial": // tcp|udp ADDRESS: says `reached`, or why not
		fmt.Println(dial(arguments[0], arguments[1]))
		return nil
	case "talk": // ADDRESS: what comes on stdin, there and back
		return talk(arguments[0])
	case "sleep":
		time.Sleep(time.Hour)
		return nil
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

func listen(places []string) error {
	failed := make(chan error)
	for _, place := range places {
		protocol, port, _ := strings.Cut(place, ":")
		if protocol == "udp" {
			socket, err := net.ListenPacket("udp4", ":"+port)
			if err != nil {
				return err
			}
			go func() { failed <- echoPackets(socket) }()
			continue
		}
		listener, err := net.Listen("tcp4", ":"+port)
		if err != nil {
			return err
		}
		go func() { failed <- echoStreams(listener) }()
	}
	fmt.Println("listening")
	return <-failed
}

func echoPackets(socket net.PacketConn) error {
	content := make([]byte, 512)
	for {
		size, from, err := socket.ReadFrom(content)
		if err != nil {
			return err
		}
		if _, err := socket.WriteTo(content[:size], from); err != nil {
			return err
		}
	}
}

func echoStreams(listener net.Listener) error {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer connection.Close()
			_, _ = io.Copy(connection, connection)
		}()
	}
}

// dial tries once: what is refused is told by the error, not by the time it took.
func dial(network, address string) string {
	connection, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		return err.Error()
	}
	defer connection.Close()
	if network == "udp" { // nothing was sent yet
		_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := connection.Write([]byte("asked")); err != nil {
			return err.Error()
		}
		if _, err := connection.Read(make([]byte, 512)); err != nil {
			return err.Error()
		}
	}
	return "reached"
}

func talk(address string) error {
	connection, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return err
	}
	defer connection.Close()
	go func() { _, _ = io.Copy(connection, os.Stdin) }()
	_, err = io.Copy(os.Stdout, connection)
	return err
}
