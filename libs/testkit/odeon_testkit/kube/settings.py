"""Keys, tokens and command lines of the control plane. Paths are relative to its directory."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True, slots=True)
class Network:
    """Where a control plane is.

    Attributes:
        host: address of the API server.
        services: range of the addresses that Services get.
        has_node: whether pods run; they reach the API server by a Service.
    """

    host: str
    services: str
    has_node: bool


LOOPBACK = Network("127.0.0.1", "10.0.0.0/24", has_node=False)
CERTIFICATES = "certificates"
ADMIN_KUBECONFIG = "admin.kubeconfig"
AUDIT_LOG = "audit.jsonl"
TOKENS = {"admin": "odeon-test-admin", "system:kube-controller-manager": "odeon-test-controllers"}
"""By user. Each may do everything; the names tell them apart in the audit log."""
NODE = "node-1"
NODE_TOKENS = {
    f"system:node:{NODE}": ("odeon-test-node", "system:nodes"),
    "system:kube-proxy": ("odeon-test-proxy", ""),
    "system:kube-scheduler": ("odeon-test-scheduler", ""),
}
"""Token and group by user, of what a node runs. They may do what Kubernetes allows them."""
_KUBELET_CLIENT = "kubelet-client"
_CONTROLLERS_KUBECONFIG = "controllers.kubeconfig"
_TOKEN_FILE = "tokens.csv"
_SERVICE_ACCOUNT_KEY = "service-accounts.pem"
_AUDIT_POLICY_FILE = "audit-policy.json"
# Writes and who asked for them: what proves that a controller at rest writes nothing.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "None", "verbs": ["get", "list", "watch"]}, {"level": "Metadata"}],
}


def write(directory: Path, url: str) -> None:
    """Write the files that the command lines name. The API server makes its own certificate."""
    users = {user: (token, "system:masters") for user, token in TOKENS.items()} | NODE_TOKENS
    rows = (f'{token},{user},{user},"{group}"\n' for user, (token, group) in users.items())
    (directory / _TOKEN_FILE).write_text("".join(rows))
    (directory / _AUDIT_POLICY_FILE).write_text(json.dumps(_AUDIT_POLICY))
    (directory / _SERVICE_ACCOUNT_KEY).write_bytes(_pem(ec.generate_private_key(ec.SECP256R1())))
    _write_kubelet_client(directory)
    ca_file = directory / CERTIFICATES / "apiserver.crt"
    for name, user in (
        (ADMIN_KUBECONFIG, "admin"),
        (_CONTROLLERS_KUBECONFIG, "system:kube-controller-manager"),
    ):
        (directory / name).write_text(kubeconfig(url, ca_file, TOKENS[user]))


def kubelet_client_ca(directory: Path) -> Path:
    """Whom a kubelet believes to be the API server, PEM."""
    return directory / f"{_KUBELET_CLIENT}.crt"


def kubeconfig(url: str, ca_file: Path, token: str) -> str:
    """A kubeconfig of one user, as JSON, which is YAML."""
    cluster = {"server": url, "certificate-authority": str(ca_file)}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
    )


def etcd(url: str) -> list[str]:
    """One member that forgets on a power cut."""
    return [
        *("--data-dir=etcd", f"--listen-client-urls={url}", f"--advertise-client-urls={url}"),
        # Nobody joins: any port will do, and it may differ from what is advertised.
        f"--listen-peer-urls=http://{LOOPBACK.host}:0",
        *("--unsafe-no-fsync", "--log-level=warn"),
    ]


def api_server(port: int, etcd_url: str, network: Network) -> list[str]:
    """With RBAC, service accounts and their tokens, and a log of writes."""
    key = _SERVICE_ACCOUNT_KEY
    return [
        *(f"--etcd-servers={etcd_url}", f"--bind-address={network.host}", f"--secure-port={port}"),
        *(f"--advertise-address={network.host}", f"--service-cluster-ip-range={network.services}"),
        *(f"--cert-dir={CERTIFICATES}", f"--token-auth-file={_TOKEN_FILE}"),
        *("--allow-privileged=true", "--profiling=false"),
        *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
        "--service-account-issuer=https://kubernetes.default.svc",
        *(f"--audit-policy-file={_AUDIT_POLICY_FILE}", f"--audit-log-path={AUDIT_LOG}"),
        *(_WITH_NODE if network.has_node else _WITHOUT_NODE),
    ]


_WITH_NODE = (
    *("--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"),
    f"--kubelet-client-certificate={_KUBELET_CLIENT}.crt",
    *(
        f"--kubelet-client-key={_KUBELET_CLIENT}.key",
        "--kubelet-preferred-address-types=InternalIP",
    ),
)
# The address of the Service `kubernetes` may not be one of loopback.
_WITHOUT_NODE = ("--authorization-mode=RBAC", "--endpoint-reconciler-type=none")


def controller_manager() -> list[str]:
    """All controllers, without a lease and without the default limit of 20 requests a second."""
    config = _CONTROLLERS_KUBECONFIG
    return [
        *(f"--kubeconfig={config}", "--leader-elect=false", "--secure-port=0"),
        *("--kube-api-qps=500", "--kube-api-burst=1000"),
        f"--service-account-private-key-file={_SERVICE_ACCOUNT_KEY}",
        f"--root-ca-file={CERTIFICATES}/apiserver.crt",
    ]


def _write_kubelet_client(directory: Path) -> None:
    """What the API server shows to a kubelet. It signs itself: the kubelet knows this one only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
        ]
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    kubelet_client_ca(directory).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / f"{_KUBELET_CLIENT}.key").write_bytes(_pem(key))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
