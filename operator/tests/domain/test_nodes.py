import pytest
from odeon_operator.domain.nodes import Node, Taint, Toleration, free_pods, notice

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


PRESENT = Taint("nvidia.com/gpu", "NoSchedule", "present")


@pytest.mark.parametrize(
    ("taint", "tolerations", "leaves", "soon"),
    [
        (PRESENT, [Toleration("nvidia.com/gpu", "NoSchedule")], False, False),
        (PRESENT, [Toleration("nvidia.com/gpu", "", "absent")], True, False),
        (PRESENT, [], True, False),
        (Taint("maintenance", "PreferNoSchedule"), [], False, False),
        (Taint("maintenance", "NoExecute"), [], True, True),
        (Taint("node.kubernetes.io/memory-pressure", "NoSchedule"), [], False, False),
        (Taint("node.kubernetes.io/not-ready", "NoExecute"), [], False, False),
        (Taint("karpenter.sh/disrupted", "NoSchedule"), [Toleration()], True, True),
        (Taint("ToBeDeletedByClusterAutoscaler", "NoSchedule", "1"), [], True, True),
        (Taint("aws-node-termination-handler/spot-itn", "NoSchedule"), [], True, True),
        (Taint("node.kubernetes.io/out-of-service", "NoExecute"), [], True, True),
    ],
)
def test_a_pod_leaves_a_node_that_goes_or_that_it_may_not_be_on(
    taint: Taint, tolerations: list[Toleration], leaves: bool, soon: bool
) -> None:
    told = notice(Node("n", taints=(taint,)), tolerations)

    assert (told is not None) == leaves
    assert told is None or (told.soon == soon and taint.key in told.why)


def test_a_cordon_is_a_reason_to_leave_unless_it_is_tolerated() -> None:
    cordoned = Node("n", usable=False, cordoned=True)
    tolerant = [Toleration("node.kubernetes.io/unschedulable", "NoSchedule")]

    told = notice(cordoned, [])
    assert told is not None
    assert not told.soon
    assert notice(cordoned, tolerant) is None
