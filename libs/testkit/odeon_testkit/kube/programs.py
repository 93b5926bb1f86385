"""A Kubernetes control plane, what a node runs, and both Helms, built from their Go modules.

`python -m odeon_testkit.kube.programs` builds them; `scripts/setup.sh test` does so.

One module pins Kubernetes: every staging module is replaced by its published version, and etcd's
server is the one that this version is built with anyway, so both share what they have in common.
CoreDNS is the newest one that raises nothing of theirs; with its few plugins of `coredns/main.go`
it is built in seconds. Both Helms share another. To move on: change the versions in go.mod and
here, then `go mod tidy` there.
"""

from pathlib import Path

from odeon_testkit.go_programs import GoPrograms

VERSION = "1.35.4"
HELM_VERSIONS = {"v3": "v3.21.4", "v4": "v4.2.4"}
_MODULES = Path(__file__).parent / "modules"
_STAMP = "k8s.io/component-base/version"

_KUBERNETES = _MODULES / "control-plane"
# What `/version` answers, and what version skew is judged by.
_STAMPS = " ".join(
    f"-X {_STAMP}.{key}={value}"
    for key, value in (
        ("gitVersion", f"v{VERSION}"),
        ("gitMajor", "1"),
        ("gitMinor", "35"),
        ("gitTreeState", "clean"),
    )
)

CONTROL_PLANE = GoPrograms(
    name=f"kubernetes-{VERSION}",
    packages=(
        "go.etcd.io/etcd/server/v3",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
    ),
    module=_KUBERNETES,
    ldflags=_STAMPS,
    renamed={"server": "etcd"},
)

NODE = GoPrograms(
    name=f"kubernetes-node-{VERSION}",
    packages=(
        "k8s.io/kubernetes/cmd/kube-proxy",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "k8s.io/kubernetes/cmd/kubelet",
        "./coredns",
        "./pause",
    ),
    module=_KUBERNETES,
    ldflags=_STAMPS,
)
"""What runs pods, beside containerd, runc and the CNI plugins, which are Debian's."""

HELMS = tuple(
    GoPrograms(
        name=f"helm-{version}",
        packages=(f"helm.sh/helm/{major}/cmd/helm",),
        module=_MODULES / "helm",
        ldflags=f"-X helm.sh/helm/{major}/internal/version.version={version}",
    )
    for major, version in HELM_VERSIONS.items()
)

if __name__ == "__main__":
    for programs in (CONTROL_PLANE, NODE, *HELMS):
        print(programs.build())
