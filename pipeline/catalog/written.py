"""The catalog as it is written down: the members of its file, typed. The head of models.yaml explains the words."""

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta

Number = int | float
Span = int | float | tuple[Number, Number]
Path = Annotated[str, Meta(pattern=r"^(model|(input|parameters)(\.[A-Za-z0-9_]+)+)$")]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$")]
Kind = Literal["string", "integer", "number", "boolean", "array", "object"]


class _Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping of the file; a member that is not listed is a mistake."""


class ConditionRow(_Row, frozen=True):
    """One comparison with a request: a path and exactly one of the tests."""

    path: Path
    equals: Any = UNSET
    among: Any = msgspec.field(default=UNSET, name="in")
    present: bool | msgspec.UnsetType = UNSET
    any_item: dict[str, Any] | msgspec.UnsetType = UNSET
    none_item: dict[str, Any] | msgspec.UnsetType = UNSET


class MediaRow(_Row, frozen=True):
    """What a media value may be."""

    kind: Literal["image", "video", "audio", "mixed"]
    forms: list[Literal["url", "data_uri", "base64", "base64_unspecified"]]
    limits: str | None = None


class FieldRow(_Row, frozen=True):
    """One field, known by `path` below a section and by `name` inside an object."""

    type: Kind
    path: Path | None = None
    name: Name | None = None
    required: bool | Literal["conditional"] = False
    const: Any = UNSET
    enum: list[Any] = []
    min: Number | None = None
    max: Number | None = None
    default: Any = UNSET
    assumed_default: Any = UNSET
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    media: MediaRow | None = None
    items: "ItemsRow | None" = None
    fields: "list[FieldRow]" = []
    of: Kind | None = None
    ignored: bool = False
    note: str = ""


class ItemsRow(_Row, frozen=True):
    """What the items of an array are."""

    type: Kind
    fields: list[FieldRow] = []
    discriminator: str | None = None
    variants: dict[str, list[FieldRow]] = {}


class RuleRow(_Row, frozen=True):
    """One rule: exactly one verb."""

    id: str
    level: Literal["error", "warn"] = "error"
    when: list[ConditionRow] = []
    why: str | None = None
    require: list[Path] | None = None
    require_one: list[Path] | None = None
    require_any: list[Path] | None = None
    forbid: list[Path] | None = None
    ignored: list[Path] | None = None
    allow: dict[Path, list[Any]] | None = None
    range: dict[Path, tuple[Number, Number]] | None = None
    count: dict[Path, tuple[int, int]] | None = None
    check: Literal["multi_prompt_sum", "kling_frames", "seedance_content"] | None = None
    fire: bool | None = None


class PriceTableRow(_Row, frozen=True):
    """Decimals by the values of one or two fields."""

    by: Annotated[list[Path], Meta(min_length=1, max_length=2)]
    rows: dict[str, Decimal | dict[str, Decimal]]


class PriceCaseRow(_Row, frozen=True):
    """A price, and when it holds."""

    unit: Literal["per_second", "per_5_seconds", "per_video", "per_million_tokens"]
    when: list[ConditionRow] = []
    amount: Decimal | None = None
    table: PriceTableRow | None = None
    seconds_from: Literal["input_video", "output_video"] | None = None
    why: str | None = None


class SurchargeRow(_Row, frozen=True):
    """What is added to the price of one video, and when."""

    unit: Literal["per_video"]
    amount: Decimal
    when: list[ConditionRow] = []
    why: str | None = None


class TokensRow(_Row, frozen=True):
    """How tokens are estimated; there is one formula, and no other may stand here."""

    formula: Literal["pixels * (24 * duration + 1) / 1024"]
    pixels: dict[str, int]
    confidence: str = "inferred"
    note: str = ""


class PriceRow(_Row, frozen=True):
    """The price of an entry."""

    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "CNY"
    quantity: str = ""
    cases: list[PriceCaseRow] = []
    surcharges: list[SurchargeRow] = []
    token_estimate: TokensRow | None = None


class SecondsTableRow(_Row, frozen=True):
    """Seconds, or a lowest and a highest number of them, by the values of one or two fields."""

    by: Annotated[list[Path], Meta(min_length=1, max_length=2)]
    rows: dict[str, Span | dict[str, Span]]


class SecondsCaseRow(_Row, frozen=True):
    """How long a task takes, and when."""

    when: list[ConditionRow] = []
    seconds: Number | None = None
    table: SecondsTableRow | None = None


class SecondsRow(_Row, frozen=True):
    """How long tasks of an entry take."""

    cases: list[SecondsCaseRow]
    note: str = ""


class IdempotencyRow(_Row, frozen=True):
    """The field that carries an id chosen by the caller."""

    field: Path
    note: str = ""


class QuirkRow(_Row, frozen=True):
    """A defect of the vendor's documents."""

    id: str
    text: str
    example: dict[str, str] | None = None
    rows: list[dict[str, str]] = []


class EntryRow(_Row, frozen=True):
    """One request shape. All but the key may be left out where it changes an entry that exists."""

    key: str
    ids: list[str] = []
    status: Literal["current", "superseded", "withdrawn"] = "current"
    kinds: list[Literal["t2v", "i2v", "flf2v", "r2v", "v2v", "extend", "motion", "lipsync", "mv"]] = []
    selector: list[list[ConditionRow]] = []
    headers: dict[str, str] = {}
    inputs: list[FieldRow] = []
    parameters: list[FieldRow] = []
    rules: list[RuleRow] = []
    price: PriceRow = PriceRow()
    typical_seconds: SecondsRow | None = None
    idempotency: IdempotencyRow | None = None
    notes: list[str] = []
    quirks: list[QuirkRow] = []
    source: list[str] = []


class LimitsRow(_Row, frozen=True):
    """What a file may be."""

    formats: list[str] = []
    codec: str | None = None
    max_mb: Number | None = None
    max_decoded_base64_mb: Number | None = None
    max_request_body_mb: Number | None = None
    min_side_px: int | None = None
    max_side_px: int | None = None
    aspect_min: Number | None = None
    aspect_max: Number | None = None
    min_seconds: Number | None = None
    max_seconds: Number | None = None
    max_seconds_landscape: Number | None = None
    max_seconds_portrait: Number | None = None
    min_fps: Number | None = None
    max_fps: Number | None = None


class OtherRow(_Row, frozen=True):
    """An id that is no entry, and must not be taken for a typing error."""

    id: str
    status: Literal["withdrawn", "other_protocol", "undocumented", "not_video"]
    note: str = ""
    seen_in: str = ""


class PriceListRow(_Row, frozen=True):
    """Where the prices are from."""

    source: str
    last_change: str
    currency: str = "CNY"


class ProvenanceRow(msgspec.Struct, frozen=True, kw_only=True):
    """Where the catalog is from; only the price list is read by the program."""

    prices: PriceListRow


class CatalogRow(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file; its prose members are for people."""

    provenance: ProvenanceRow
    media_limits: dict[str, LimitsRow]
    models: list[EntryRow]
    other_ids: list[OtherRow]


ROWS: tuple[type[msgspec.Struct], ...] = tuple(_Row.__subclasses__())
"""Every kind of mapping that an entry may hold."""
