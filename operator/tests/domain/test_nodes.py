from odeon_operator.domain.nodes import Node, free_pods

GPU = "nvidia.com/gpu"


def test_only_allocatable_gpus_of_usable_nodes_count() -> None:
    nodes = [
        Node("full", {GPU: 4}),
        Node("new", {}),
        Node("cordoned", {GPU: 8}, usable=False),
        Node("free", {GPU: 5}),
    ]

    assert free_pods(nodes, GPU, 2, {"full": 4, "free": 1}) == 2


def test_nothing_is_known_without_nodes_and_nothing_matters_without_gpus() -> None:
    assert free_pods([], GPU, 1, {}) is None
    assert free_pods([Node("a", {GPU: 4})], GPU, 0, {}) is None
