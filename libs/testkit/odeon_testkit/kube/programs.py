"""The programs of a Kubernetes control plane, built from their Go modules.

`python -m odeon_testkit.kube.programs` builds them; `scripts/setup.sh test` does so.

One module pins all: every staging module of Kubernetes is replaced by its published version, and
etcd's server is one that this version of Kubernetes is built with anyway, so both share what they
have in common. To move on: change the versions in go.mod and here, then `go mod tidy` there.
"""

from pathlib import Path

from odeon_testkit.go_programs import GoPrograms

VERSION = "1.35.4"
_STAMP = "k8s.io/component-base/version"

CONTROL_PLANE = GoPrograms(
    name=f"kubernetes-{VERSION}",
    packages=(
        "go.etcd.io/etcd/server/v3",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
    ),
    module=Path(__file__).parent / "control_plane_module",
    # What `/version` answers, and what version skew is judged by.
    ldflags=" ".join(
        f"-X {_STAMP}.{key}={value}"
        for key, value in (
            ("gitVersion", f"v{VERSION}"),
            ("gitMajor", "1"),
            ("gitMinor", "35"),
            ("gitTreeState", "clean"),
        )
    ),
    renamed={"server": "etcd"},
)

if __name__ == "__main__":
    print(CONTROL_PLANE.build())
