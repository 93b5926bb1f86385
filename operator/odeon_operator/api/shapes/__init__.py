"""The custom resources of `odeon.live/v1alpha1`, field by field.

This is the one place that says what is in them: from here come the reader of files (`manifests`),
the CRDs (`crds`, helm/odeon-crds) and the reference (docs/reference/resources.md). Unknown fields
are refused, so that a misspelled one is not silently ignored.
"""

from odeon_operator.api.shapes.base import Cel, Condition, LabelSelector, Ref, Shape
from odeon_operator.api.shapes.events import AmountsShape, LiveEventSpec, LiveEventStatus
from odeon_operator.api.shapes.policies import (
    BehaviorShape,
    DisruptionBudgetShape,
    MetricShape,
    RuleShape,
    ScaleInShape,
    ScaleOutShape,
    ScalingPolicySpec,
    ScalingPolicyStatus,
    WhenShape,
)
from odeon_operator.api.shapes.pools import (
    ColdStartShape,
    DecisionShape,
    DesiredShape,
    EdgePoolSpec,
    EdgePoolStatus,
    PoolSpec,
    PoolStatus,
    SlotsShape,
    TranscoderPoolSpec,
    TranscoderPoolStatus,
    UpdateStrategyShape,
)
from odeon_operator.api.shapes.tenants import TenantSpec, TenantStatus

__all__ = [
    "AmountsShape",
    "BehaviorShape",
    "Cel",
    "ColdStartShape",
    "Condition",
    "DecisionShape",
    "DesiredShape",
    "DisruptionBudgetShape",
    "EdgePoolSpec",
    "EdgePoolStatus",
    "LabelSelector",
    "LiveEventSpec",
    "LiveEventStatus",
    "MetricShape",
    "PoolSpec",
    "PoolStatus",
    "Ref",
    "RuleShape",
    "ScaleInShape",
    "ScaleOutShape",
    "ScalingPolicySpec",
    "ScalingPolicyStatus",
    "Shape",
    "SlotsShape",
    "TenantSpec",
    "TenantStatus",
    "TranscoderPoolSpec",
    "TranscoderPoolStatus",
    "UpdateStrategyShape",
    "WhenShape",
]
