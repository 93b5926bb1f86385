"""Configuration of a node: containerd, CNI plugins, kubelet, kube-proxy, scheduler, CoreDNS."""

import json
from pathlib import Path
from typing import Any

from odeon_testkit.kube import settings
from odeon_testkit.kube.api import Object
from odeon_testkit.kube.sandbox import Sandbox

NETWORK = settings.Network("10.99.0.2", "10.96.0.0/16", has_node=True)
"""Beside the API server it is the node's address."""
DNS_ADDRESS = "10.96.0.10"
PAUSE_IMAGE = "localhost/pause:test"
DNS_IMAGE = "localhost/coredns:test"
OBJECTS = Path(__file__).with_name("node.yaml")
"""What a cluster has beside what Kubernetes makes by itself: DNS and a class of volumes."""
_PODS = "10.244.0.0/24"
_SOCKET = "/run/containerd/containerd.sock"
_CNI_PLUGINS = "/usr/lib/cni"

CTR = ("ctr", "--address", _SOCKET, "--namespace", "k8s.io")
"""containerd's own client."""


def write(sandbox: Sandbox, api_url: str) -> None:
    """Write the files that the command lines name, into the folder of the control plane's."""
    directory = sandbox.directory
    for folder in ("cni", "kubelet", "containers", "pod-logs", "static-pods"):
        (directory / folder).mkdir()
    ca_file = directory / settings.CERTIFICATES / "apiserver.crt"
    for user, (token, _) in settings.NODE_TOKENS.items():
        content = settings.kubeconfig(api_url, ca_file, token)
        (directory / _kubeconfig(user)).write_text(content)
    (directory / "containerd.toml").write_text(_containerd(directory))
    (directory / "cni" / "pods.conflist").write_text(json.dumps(_CNI))
    # The node's own resolver: there is none.
    (directory / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (directory / "kubelet.json").write_text(json.dumps(_kubelet(sandbox)))
    (directory / "kube-proxy.json").write_text(json.dumps(_PROXY))


def containerd(directory: Path) -> list[str]:
    """It leaves the folder that it is started in before it reads its configuration."""
    return [f"--config={directory}/containerd.toml"]


def kubelet(directory: Path) -> list[str]:
    """It registers the node by itself, as `settings.NODE`."""
    return [
        *("--config=kubelet.json", f"--kubeconfig={_kubeconfig(f'system:node:{settings.NODE}')}"),
        *(f"--hostname-override={settings.NODE}", f"--node-ip={NETWORK.host}"),
        # It looks for the mount that this is on, and finds none of a relative path.
        *(f"--root-dir={directory}/kubelet", "--cert-dir=kubelet/pki"),
    ]


def kube_proxy() -> list[str]:
    """Services by iptables."""
    return ["--config=kube-proxy.json"]


def scheduler() -> list[str]:
    """Without a lease and without the default limit of requests."""
    return [
        *(f"--kubeconfig={_kubeconfig('system:kube-scheduler')}", "--leader-elect=false"),
        *("--secure-port=0", "--kube-api-qps=500", "--kube-api-burst=1000"),
    ]


def _kubeconfig(user: str) -> str:
    return f"{user.replace(':', '-')}.kubeconfig"


def _containerd(directory: Path) -> str:
    cri = '[plugins."io.containerd.grpc.v1.cri"'
    return f"""
version = 2
root = "{directory}/containerd"
state = "/run/containerd"
[grpc]
address = "{_SOCKET}"
{cri}]
sandbox_image = "{PAUSE_IMAGE}"
# Whoever lacks CAP_SYS_RESOURCE cannot lower the score of a process.
restrict_oom_score_adj = true
{cri}.cni]
bin_dir = "{_CNI_PLUGINS}"
conf_dir = "{directory}/cni"
{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
{cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.internal.v1.opt"]
path = "{directory}/opt"
"""


# A pair of devices a pod: on a bridge, pods of one node would reach each other past the Services'
# rules where the kernel lacks br_netfilter.
_CNI: Object = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "plugins": [
        {
            "type": "ptp",
            "ipMasq": False,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": _PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}

_PROXY: Object = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "iptables",
    "clientConnection": {"kubeconfig": _kubeconfig("system:kube-proxy")},
    "clusterCIDR": _PODS,
    "hostnameOverride": settings.NODE,
    "bindAddress": NETWORK.host,
    # Tests are faster than the second that it waits to collect changes.
    "iptables": {"minSyncPeriod": "100ms"},
    # The tables' size is the whole machine's.
    "conntrack": {
        "maxPerCore": 0,
        "min": 0,
        "tcpEstablishedTimeout": "0s",
        "tcpCloseWaitTimeout": "0s",
    },
}


def _kubelet(sandbox: Sandbox) -> dict[str, Any]:
    directory = sandbox.directory
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NETWORK.host,
        "authentication": {
            "anonymous": {"enabled": False},
            "x509": {"clientCAFile": str(settings.kubelet_client_ca(directory))},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{sandbox.name}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(directory / "resolv.conf"),
        "staticPodPath": str(directory / "static-pods"),
        "podLogsDir": str(directory / "pod-logs"),
        # A disk that is nearly full is no reason to refuse a test's pods.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1%"},
        "nodeStatusUpdateFrequency": "5s",
    }
