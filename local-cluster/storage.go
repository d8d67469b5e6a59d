package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const provisionerName = "learnflow.dev/local-path"

// volumes provisions each claim a folder of its own on the node, which outlives every pod.
type volumes struct{ root string }

func (v volumes) Provision(
	_ context.Context, claim controller.ProvisionOptions,
) (*core.PersistentVolume, controller.ProvisioningState, error) {
	if claim.PVC.Spec.VolumeMode != nil && *claim.PVC.Spec.VolumeMode == core.PersistentVolumeBlock {
		return nil, controller.ProvisioningFinished, errors.New("block volumes are not supported")
	}
	path := filepath.Join(v.root, claim.PVName)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, controller.ProvisioningNoChange, err
	}
	// The kubelet gives no host path to a pod's fsGroup, so that any user must be able to write;
	// the folder above is root's alone.
	if err := os.Chmod(path, 0o777); err != nil {
		return nil, controller.ProvisioningNoChange, err
	}
	kind := core.HostPathDirectory
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: claim.PVName},
		Spec: core.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *claim.StorageClass.ReclaimPolicy,
			AccessModes:                   claim.PVC.Spec.AccessModes,
			Capacity: core.ResourceList{
				core.ResourceStorage: claim.PVC.Spec.Resources.Requests[core.ResourceStorage],
			},
			PersistentVolumeSource: core.PersistentVolumeSource{
				HostPath: &core.HostPathVolumeSource{Path: path, Type: &kind},
			},
		},
	}, controller.ProvisioningFinished, nil
}

func (v volumes) Delete(_ context.Context, volume *core.PersistentVolume) error {
	path := filepath.Join(v.root, volume.Name)
	if volume.Spec.HostPath == nil || volume.Spec.HostPath.Path != path {
		return fmt.Errorf("volume %s is not one of ours", volume.Name)
	}
	return os.RemoveAll(path)
}

// runStorage provisions volumes until it is asked to end.
func runStorage() error {
	if len(os.Args) != 3 {
		return errors.New("usage: storage KUBECONFIG FOLDER")
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 100, 200 // a claim takes three requests, of which 5 a second are usual
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx = klog.NewContext(ctx, klog.Background())
	controller.NewProvisionController(
		ctx, client, provisionerName, volumes{root: os.Args[2]},
		controller.LeaderElection(false),
		controller.RateLimiter(workqueue.NewTypedItemExponentialFailureRateLimiter[string](
			200*time.Millisecond, time.Minute)),
	).Run(ctx)
	return nil
}
