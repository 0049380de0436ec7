"""Prices: what a request will cost at most, and what it did cost."""

from decimal import Decimal

import pytest

from pipeline.catalog import Catalog, actual_cost, estimate
from pipeline.catalog.pricing import TOKEN_MARGIN

CATALOG = Catalog.load()
WAN = "Wan-AI/Wan2.2-I2V"
SEEDANCE = "doubao-seedance-1-5-pro-251215"
URL = "https://example.com/a.jpg"
EDIT = {"video_list": [{"video_url": URL, "refer_type": "base"}]}


def made(model, parameters, **given):
    request = {"model": model, "input": given, "parameters": parameters}
    entry = CATALOG.entry_for(model, request)
    assert entry is not None
    return entry, request


@pytest.mark.parametrize(
    ("model", "parameters", "amount", "seconds"),
    [
        (WAN, {"resolution": "720P", "duration": 8}, "2.80", "8"),
        (WAN, {"duration": 5}, "0.90", "5"),
        ("Wan-AI/Wan2.2-T2V", {"size": "1280x720", "duration": 5}, "1.75", "5"),
        ("Wan-AI/Wan2.5-I2V", {"resolution": "1080p"}, "5.475", "5"),
        ("MiniMax-Hailuo-02", {}, "2.0", "6"),
        ("MiniMax-Hailuo-02", {"duration": 10}, "4.0", "10"),
        ("MiniMax-Hailuo-2.3-Fast", {"resolution": "1080P"}, "2.31", "6"),
        ("kling-v2-6", {"duration": 10}, "5.0", "10"),
        ("kling-video-o1", {}, "4.0", "5"),
        ("kling-v3-omni", {"mode": "std", "sound": "on", "duration": 3}, "2.4", "3"),
        ("viduq3-pro", {"vidu_type": "img2video", "duration": 16, "resolution": "540p"}, "5.0000", "16"),
        ("viduq2-pro-fast", {"vidu_type": "img2video", "duration": 10}, "0.8125", "10"),
        ("viduq2-pro", {"vidu_type": "img2video", "audio": True}, "2.18875", "5"),
        ("viduq2-turbo", {"vidu_type": "extend", "duration": 7, "resolution": "1080p"}, "3.13", "7"),
    ],
)
def test_price_is_exact_when_the_request_says_everything(model, parameters, amount, seconds):
    """By the second or by the video, defaults counted in, surcharges added: worst and expected are one."""
    quote = estimate(*made(model, parameters, image_url=URL))
    assert (quote.expected, quote.worst, quote.seconds) == (Decimal(amount), Decimal(amount), Decimal(seconds))
    assert (quote.currency, quote.note) == ("CNY", None)


@pytest.mark.parametrize(
    ("model", "parameters", "expected", "worst"),
    [
        (WAN, {}, "0.90", "1.44"),
        (WAN, {"resolution": "720P"}, "1.75", "2.80"),
        ("Wan-AI/Wan2.2-T2V", {}, "0.90", "2.80"),
        ("Wan-AI/Wan2.2-T2V", {"size": "832x480"}, "0.90", "1.44"),
        ("Wan-AI/Wan2.6-I2V", {}, "5.0", "15.0"),
    ],
)
def test_worst_case_is_the_dearest_value_when_a_field_has_only_an_assumed_default(model, parameters, expected, worst):
    """The estimate assumes, the guard does not; values that the rules exclude are not among the dearest."""
    quote = estimate(*made(model, parameters))
    assert (quote.expected, quote.worst) == (Decimal(expected), Decimal(worst))
    assert "not given; assumed" in (quote.note or "")


@pytest.mark.parametrize(
    ("model", "parameters", "words"),
    [
        ("veo-3.1-generate-001", {}, "no price is published"),
        ("happyhorse-1.0-t2v", {}, "no price is published"),
        ("viduq2-pro", {"vidu_type": "img2video", "resolution": "360p"}, "no row for"),
        ("MiniMax-Hailuo-02", {"duration": 10, "resolution": "1080P"}, "no row for"),
        ("kling-video-o1", EDIT, "the length of the clip to edit"),
        ("vidu-lip-sync", {"vidu_type": "lip-sync"}, "the length of the finished video"),
        ("vidu-mv", {"vidu_type": "one-click/mv"}, "the length of the finished video"),
    ],
)
def test_price_is_unknown_when_nobody_says_it(model, parameters, words):
    """Unknown is None with its reason, and never zero."""
    quote = estimate(*made(model, parameters))
    assert (quote.expected, quote.worst) == (None, None)
    assert words in (quote.note or "")


def test_tokens_are_estimated_with_a_margin_when_a_model_counts_them():
    """The documented sample of 108900 tokens comes out; the worst case adds a tenth, as the formula is inferred."""
    quote = estimate(*made(SEEDANCE, {}, content=[]))
    assert quote.expected == Decimal(108900) * 8 / 1_000_000
    assert quote.worst == quote.expected * (1 + TOKEN_MARGIN)
    assert quote.note == "priced by tokens; their number is inferred"


@pytest.mark.parametrize(
    ("parameters", "rate"),
    [
        ({}, 8),
        ({"generate_audio": True}, 16),
        ({"service_tier": "flex"}, 4),
        ({"service_tier": "flex", "generate_audio": True}, 8),
    ],
)
def test_first_case_that_holds_counts_when_several_do(parameters, rate):
    """The order of the cases is the order in which they are asked."""
    quote = estimate(*made(SEEDANCE, parameters, content=[]))
    assert quote.expected == Decimal(108900) * rate / 1_000_000


@pytest.mark.parametrize(
    ("model", "parameters", "usage", "cost"),
    [
        (WAN, {"resolution": "720P"}, {"duration": 5}, "1.75"),
        (WAN, {"resolution": "720P"}, {"duration": 5.25}, "1.8375"),
        (WAN, {}, {"duration": 9}, "1.62"),
        (WAN, {}, {"duration": 9.01}, None),
        (WAN, {}, {"duration": 50}, None),
        (WAN, {}, {}, None),
        (WAN, {}, {"duration": True}, None),
        (WAN, {}, {"duration": -1}, None),
        (WAN, {}, {"duration": float("nan")}, None),
        (WAN, {}, {"duration": "5"}, None),
        (SEEDANCE, {}, {"completion_tokens": 108900}, "0.8712"),
        (SEEDANCE, {}, {"completion_tokens": 0}, None),
        (WAN, {}, {"duration": 0}, None),
        ("vidu-mv", {"vidu_type": "one-click/mv"}, {"duration": 86_400}, "21600"),
        ("vidu-mv", {"vidu_type": "one-click/mv"}, {"duration": 86_401}, None),
        (SEEDANCE, {}, {"duration": 5}, None),
        ("kling-video-o1", EDIT, {"duration": 7.5}, "9.6"),
        ("kling-video-o1", EDIT, {"duration": 7.4}, "8.4"),
        ("vidu-lip-sync", {"vidu_type": "lip-sync"}, {"duration": 5}, "0.625"),
        ("vidu-lip-sync", {"vidu_type": "lip-sync"}, {"duration": 5.1}, "1.250"),
        ("vidu-mv", {"vidu_type": "one-click/mv"}, {"duration": 61}, "15.25"),
        ("kling-v2-6", {}, {}, "2.5"),
        ("viduq2-pro", {"vidu_type": "img2video", "audio": True}, {}, "2.18875"),
        ("veo-3.1-generate-001", {}, {"duration": 8}, None),
    ],
)
def test_cost_is_that_of_the_usage_when_the_service_reports_it(model, parameters, usage, cost):
    """Seconds and tokens come from the service; what cannot be the video's length, or is zero, corrects nothing."""
    found = actual_cost(*made(model, parameters), usage)
    assert found == (None if cost is None else Decimal(cost))


@pytest.mark.parametrize(
    ("model", "parameters", "seconds"),
    [
        (WAN, {}, 50),
        (WAN, {"resolution": "720P"}, None),
        ("viduq2", {"vidu_type": "text2video"}, 22.6),
        ("viduq2-turbo", {"vidu_type": "extend", "duration": 1, "resolution": "540p"}, (7.7 + 9.4) / 2),
        ("viduq2-pro-fast", {"vidu_type": "img2video", "duration": 9}, None),
        ("kling-v3", {}, None),
    ],
)
def test_typical_time_is_known_when_the_documents_tell(model, parameters, seconds):
    """By case and table, defaults counted in; the middle where a span is documented."""
    entry, request = made(model, parameters)
    assert entry.typical_seconds_for(request) == seconds


def test_day_of_the_prices_is_known_when_they_are_shown():
    """Every price carries the day and the origin of its list."""
    assert CATALOG.prices_as_of == "2026-03-24"
    entry, _ = made(WAN, {})
    assert (entry.price.as_of, entry.price.origin) == ("2026-03-24", "ucloud:price.md")
