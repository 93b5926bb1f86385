"""What all shapes have in common, and the small types that fields are made of.

A type says three things: how a value is read, how the CRD's schema writes it, and with it what the
API server refuses. Only that a cron line makes sense is left to whoever reads the resource.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel, to_snake
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_INT32 = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Cel:
    """What must hold of a value, in the Common Expression Language; the API server checks it.

    Attributes:
        rule: true when all is well. With `oldSelf` it is about a change.
        message: what is told otherwise; readers of files say the same.
    """

    rule: str
    message: str


class Shape(BaseModel):
    """No unknown field, no conversion of types, frozen; a docstring under every field."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        arbitrary_types_allowed=True,
        populate_by_name=False,
        use_attribute_docstrings=True,
    )

    cel: ClassVar[tuple[Cel, ...]] = ()
    """What the API server checks of the whole; Python checks the same in validators."""

    @model_validator(mode="after")
    def _nothing_twice(self) -> Self:
        for name, field in type(self).model_fields.items():
            extra: Any = field.json_schema_extra or {}
            if extra.get("x-kubernetes-list-type") in ("map", "set"):
                keys = extra.get("x-kubernetes-list-map-keys", [])
                items = [_identity(item, keys) for item in getattr(self, name)]
                if len(items) != len(set(items)):
                    of = f" of the same {' and '.join(keys)}" if keys else ""
                    raise ValueError(f"{field.alias} has two items{of}")
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema with what the API server is to check."""
        found = handler.resolve_ref_schema(handler(core_schema))
        return {**found, **_checked(*cls.cel)} if cls.cel else found


def _identity(item: Any, keys: list[str]) -> Any:
    return tuple(getattr(item, to_snake(key)) for key in keys) if keys else item


def unchanging(field: str) -> Any:
    """For the schema of a field that is given once and for all."""
    return _checked(Cel("self == oldSelf", f"{field} cannot be changed"))


def refuse(problem: str) -> Any:
    """For places where only an expression fits."""
    raise ValueError(problem)


def written_duration(value: timedelta) -> str:
    """A duration as files have it, e.g. "1h30m"."""
    left, words = int(value.total_seconds()), ""
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("m", 60)):
        words += f"{left // seconds}{unit}" if left >= seconds else ""
        left %= seconds
    return words + (f"{left}s" if left or not words else "")


def _duration(raw: object) -> object:
    if isinstance(raw, str):
        found = _DURATION.fullmatch(raw)
        if raw and found is not None:
            days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
            return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    raise ValueError(f'{raw!r} is no duration such as "90s", "5m" or "1h30m"')


def _fraction(raw: object) -> object:
    # As a Quantity a CRD knows whole numbers and strings, no 0.1.
    if raw == 0 and isinstance(raw, int) and not isinstance(raw, bool):
        return Fraction(0)
    if isinstance(raw, str) and re.fullmatch(r"0(\.[0-9]+)?", raw):
        return Fraction(Decimal(raw))
    raise ValueError(f'{raw!r} is no share between 0 and 1 such as "0.1", in quotes')


def _amount(raw: object) -> object:
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise ValueError(f'{raw!r} is neither a number nor like "20%"')
    return raw


def _percent(raw: object) -> object:
    if isinstance(raw, str) and re.fullmatch(r"[0-9]+%", raw):
        return int(raw[:-1])
    raise ValueError(f'{raw!r} is no percentage such as "50%"')


def _moment(raw: object) -> object:
    # YAML reads an unquoted time by itself; a quoted one is a string.
    if isinstance(raw, str):
        try:
            return datetime.fromisoformat(raw)
        except ValueError:
            raise ValueError(f'{raw!r} is no time such as "2026-05-04T14:00:00Z"') from None
    return raw


def _zone(raw: object) -> object:
    if not isinstance(raw, str):
        raise ValueError(f"{raw!r} is no time zone")
    try:
        return ZoneInfo(raw)
    except (OSError, ValueError, KeyError):
        raise ValueError(f'{raw!r} is no time zone such as "Asia/Shanghai"') from None


def _checked(*rules: Cel) -> dict[str, Any]:
    return {"x-kubernetes-validations": [{"rule": r.rule, "message": r.message} for r in rules]}


def _written(pattern: str, longest: int = 32, *rules: Cel) -> WithJsonSchema:
    schema: dict[str, Any] = {"type": "string", "maxLength": longest, "pattern": pattern}
    return WithJsonSchema(schema | (_checked(*rules) if rules else {}))


def _int_or_string(pattern: str, **limits: int) -> WithJsonSchema:
    either = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    return WithJsonSchema(
        {"x-kubernetes-int-or-string": True, **either, **limits, "pattern": pattern}
    )


_A_DURATION = r"([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?"
_NOT_EMPTY = Cel("size(self) > 0", 'is no duration such as "90s", "5m" or "1h30m"')
_NOT_NOTHING = Cel("self.matches('[1-9]')", "must be longer than nothing")
# Asking for the hour there fails where there is no such zone. The API server has the tz database.
_A_ZONE = Cel(
    "timestamp('2000-01-01T00:00:00Z').getHours(self) >= 0",
    'is no time zone such as "Asia/Shanghai"',
)
_AS_DURATION = PlainSerializer(written_duration, when_used="json")

Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    _AS_DURATION,
    _written(f"^{_A_DURATION}$", 32, _NOT_EMPTY),
]
Positive = Annotated[
    timedelta,
    BeforeValidator(_duration),
    AfterValidator(lambda d: d if d else refuse("must be longer than nothing")),
    _AS_DURATION,
    _written(f"^{_A_DURATION}$", 32, _NOT_NOTHING),
]
LeadTime = Annotated[
    timedelta | None,
    BeforeValidator(lambda raw: None if raw == "Auto" else _duration(raw)),
    _written(f"^(Auto|{_A_DURATION})$", 32, _NOT_EMPTY),
]
"""None is `Auto`."""
Share = Annotated[
    Fraction,
    BeforeValidator(_fraction),
    _int_or_string(r"^0(\.[0-9]+)?$", minimum=0, maximum=0, maxLength=20),
]
IntOrPercent = Annotated[
    int | str, BeforeValidator(_amount), _int_or_string("^[0-9]{1,6}%$", minimum=0, maximum=_INT32)
]
Buffer = Annotated[
    int | str,
    BeforeValidator(_amount),
    # At 100 % no number of pods would do.
    _int_or_string("^[0-9]{1,2}%$", minimum=0, maximum=_INT32),
]
PercentOnly = Annotated[
    int,
    BeforeValidator(_percent),
    PlainSerializer(lambda percent: f"{percent}%", when_used="json"),
    _written("^[0-9]{1,6}%$", 7),
]
Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_moment),
    WithJsonSchema(
        # Without the pattern a time of no zone would pass.
        {"type": "string", "format": "date-time", "pattern": "(Z|[+-][0-9]{2}:[0-9]{2})$"}
    ),
]
Zone = Annotated[
    ZoneInfo,
    BeforeValidator(_zone),
    _written("^[A-Za-z][A-Za-z0-9_+/-]*$", 64, _A_ZONE),
]
Cron = Annotated[str, Field(min_length=9, max_length=200, pattern=r"^\S+( +\S+){4}$")]
Natural = Annotated[int, Field(ge=0, le=_INT32)]
Counting = Annotated[int, Field(ge=1, le=_INT32)]
Name = Annotated[
    str,
    Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"),
]
"""A DNS label."""
ObjectName = Annotated[
    str,
    Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"),
]
"""Name of another resource."""


def listed(*, most: int, extra: dict[str, Any] | None = None) -> Any:
    """A field that is a list, empty unless given. The API server needs a limit to weigh rules."""
    return Field(default_factory=list, max_length=most, json_schema_extra=extra)


def keyed(*keys: str, most: int) -> Any:
    """A list whose items are told apart by these fields: no two are alike in all of them."""
    how = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}
    return listed(most=most, extra=how)


class Ref(Shape):
    """Names another resource."""

    name: ObjectName
    """Its name."""


class Condition(Shape):
    """One condition, as all of Kubernetes has it."""

    type: Annotated[str, Field(max_length=316)]
    """What is told, e.g. Ready."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    observed_generation: Annotated[int | None, Field(ge=0)] = None
    """The generation of the spec that this is about."""
    last_transition_time: Moment
    """When the status became what it is."""
    reason: Annotated[
        str, Field(max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    ]
    """Why, as a word for programs."""
    message: Annotated[str, Field(max_length=32768)]
    """Why, as a sentence for people."""


def conditions() -> Any:
    """The conditions of a status, one of each type."""
    return keyed("type", most=32)


class Requirement(Shape):
    """What must hold of one label."""

    key: Annotated[str, Field(min_length=1, max_length=317)]
    """Name of the label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """What must hold of its value."""
    values: list[str] = listed(most=64)
    """For In and NotIn."""


class LabelSelector(Shape):
    """Which objects are meant, by their labels; all of it must hold."""

    match_labels: dict[str, str] = Field(default_factory=dict, max_length=32)
    """Labels that must have these values."""
    match_expressions: list[Requirement] = listed(most=32)
    """What else must hold of labels."""
