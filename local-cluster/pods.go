package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-client/pkg"
	"k8s.io/klog/v2"
)

// graceAnnotation is where the kubelet notes a pod's grace period on each of its containers.
const graceAnnotation = "io.kubernetes.pod.terminationGracePeriod"

// runStopPods stops every container as its pod's grace period allows, then every sandbox. The
// kubelet is gone by then, so that nothing starts them again and the API keeps the pods.
func runStopPods() error {
	if len(os.Args) != 3 {
		return errors.New("usage: stop-pods SOCKET SECONDS")
	}
	seconds, err := strconv.Atoi(os.Args[2])
	if err != nil {
		return err
	}
	limit := time.Duration(seconds) * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), limit+10*time.Second)
	defer cancel()
	logger := klog.Background()
	service, err := cri.NewRemoteRuntimeService(os.Args[1], limit+5*time.Second, nil, &logger)
	if err != nil {
		return err
	}
	running := &runtime.ContainerFilter{
		State: &runtime.ContainerStateValue{State: runtime.ContainerState_CONTAINER_RUNNING},
	}
	containers, err := service.ListContainers(ctx, running)
	if err != nil {
		return err
	}
	stopped := all(containers, func(container *runtime.Container) error {
		grace := 30
		if noted, err := strconv.Atoi(container.Annotations[graceAnnotation]); err == nil {
			grace = noted
		}
		return service.StopContainer(ctx, container.Id, int64(min(grace, seconds)))
	})
	sandboxes, err := service.ListPodSandbox(ctx, nil)
	if err != nil {
		return errors.Join(stopped, err)
	}
	return errors.Join(stopped, all(sandboxes, func(sandbox *runtime.PodSandbox) error {
		return service.StopPodSandbox(ctx, sandbox.Id)
	}))
}

// all runs do for every item at once, and joins the errors.
func all[Item any](items []Item, do func(Item) error) error {
	var group sync.WaitGroup
	failures := make([]error, len(items))
	for index, item := range items {
		group.Add(1)
		go func() {
			defer group.Done()
			if err := do(item); err != nil {
				failures[index] = fmt.Errorf("%v: %w", item, err)
			}
		}()
	}
	group.Wait()
	return errors.Join(failures...)
}
