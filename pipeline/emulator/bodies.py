"""Reads the body of a submit: what is asked for, or why it is refused (modelverse-api.md §4, §11, §14)."""

from dataclasses import dataclass
from typing import Any

import msgspec

MODELS = (
    "Wan-AI/Wan2.2-I2V", "Wan-AI/Wan2.2-T2V", "Wan-AI/Wan2.5-I2V", "Wan-AI/Wan2.5-T2V", "Wan-AI/Wan2.6-I2V",
    "Wan-AI/Wan2.6-T2V", "openai/sora-2/image-to-video", "openai/sora-2/text-to-video", "veo-3.1-generate-001",
    "veo-3.1-fast-generate-001", "doubao-seedance-1-5-pro-251215", "doubao-seedance-2-0-260128", "MiniMax-Hailuo-02",
    "MiniMax-Hailuo-2.3", "MiniMax-Hailuo-2.3-Fast", "kling-video-o1", "kling-v2-6", "kling-v3", "kling-v3-omni",
    "kling-v3-motion-control", "viduq2", "viduq2-pro", "viduq2-turbo", "viduq2-pro-fast", "viduq3-pro",
    "vidu-lip-sync", "vidu-mv", "vidu-one-click-mv", "happyhorse-1.0-t2v", "happyhorse-1.0-i2v", "happyhorse-1.0-r2v",
    "happyhorse-1.0-video-edit",
)  # fmt: skip
"""What `GET /v1/models` lists."""

_FAMILIES = ("veo-", "doubao-seedance-", "MiniMax-Hailuo-", "kling-", "vidu", "happyhorse-")
_STRICT = "Wan-AI/Wan2.2-I2V"
_MAX_SEED = 2**31 - 1

# Where the models carry the picture that the clip starts from, in the order in which it is looked for.
_PICTURE_KEYS = (
    "image_url",
    "first_frame_url",
    "img_url",
    "first_frame_image",
    "image",
    "images",
    "image_list",
    "content",
)
_INSIDE_KEYS = ("url", "bytesBase64Encoded", "image_url", "images")

_SIZES = {"480": (832, 480), "540": (960, 540)}
_LARGEST = (1280, 720)  # enough to judge a rehearsal, and 1080P would keep two cores busy


class BadBodyError(Exception):
    """The body is refused; `code` is the gateway's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Submission:
    """What a submit asks for, as far as the emulator cares."""

    model: str
    prompt: str = ""
    picture: str | None = None
    """URL, data URI or Base64, as sent."""
    duration: int = 5
    """Seconds that are bought."""
    size: tuple[int, int] = _SIZES["480"]
    """Pixels, of a landscape picture."""
    seed: int = 0
    external_id: str | None = None
    """The caller's own id (Kling v3 only)."""


def read_submission(raw: bytes) -> Submission:
    """The submission that a body describes. Raises `BadBodyError`."""
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBodyError("param_error", "Invalid param: the body is not JSON") from error
    if not isinstance(body, dict):
        raise _invalid("the body must be an object")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise _invalid("model is required")
    if model not in MODELS and not model.startswith(_FAMILIES):
        raise BadBodyError("model_error", f"No permission to use the model: apikey [***] not support model [{model}]")
    given, parameters = _section(body, "input"), _section(body, "parameters")
    if model == _STRICT:
        _check_wan22(given, parameters)
    return Submission(
        model=model,
        prompt=_text(given, "prompt") or _text(parameters, "prompt") or _content_text(given),
        picture=_picture(model, given, parameters),
        duration=_duration(parameters),
        size=_size(parameters),
        seed=seed if isinstance(seed := parameters.get("seed"), int) else 0,
        external_id=_text(parameters, "external_task_id") or None if model.startswith("kling-v3") else None,
    )


def _invalid(what: str) -> BadBodyError:
    return BadBodyError("param_error", f"Invalid param: {what}")


def _section(body: dict[str, Any], name: str) -> dict[str, Any]:
    section = body.get(name)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise _invalid(f"{name} must be an object")
    return section


def _check_wan22(given: dict[str, Any], parameters: dict[str, Any]) -> None:
    """Both documented forms of the model: the source page's (`image_url`) and the newer one (`first_frame_url`)."""
    forms = [key for key in ("image_url", "first_frame_url") if given.get(key) is not None]
    if len(forms) != 1:
        raise _invalid("image_url is required" if not forms else "image_url and first_frame_url exclude each other")
    for key in (*forms, "last_frame_url"):
        if key in given and not (isinstance(given[key], str) and given[key].strip()):
            raise _invalid(f"{key} must be a URL or an encoded image")
    if forms == ["first_frame_url"] and not _text(given, "prompt"):
        raise _invalid("prompt is required")
    if parameters.get("resolution", "480P") not in ("480P", "720P"):
        raise _invalid("resolution must be 480P or 720P")
    if _duration(parameters) not in (5, 8):
        raise _invalid("duration must be 5 or 8")
    seed = parameters.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= _MAX_SEED:
        raise _invalid(f"seed must be an integer from 0 to {_MAX_SEED}")


def _text(section: dict[str, Any], key: str) -> str:
    value = section.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _invalid(f"{key} must be a string")
    return value


def _content_text(given: dict[str, Any]) -> str:
    """Seedance writes its prompt as one part of `content`."""
    content = given.get("content")
    parts = content if isinstance(content, list) else []
    texts = [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
    return " ".join(texts)


def _duration(parameters: dict[str, Any]) -> int:
    value = parameters.get("duration", 5)
    if isinstance(value, str) and value.isdecimal():  # some Kling pages write the seconds as text
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not -1 <= value <= 600:
        raise _invalid("duration must be a number of seconds")
    return value if value > 0 else 5


def _size(parameters: dict[str, Any]) -> tuple[int, int]:
    resolution = parameters.get("resolution", "480P")
    if not isinstance(resolution, str):
        raise _invalid("resolution must be a string")
    return _SIZES.get(resolution.rstrip("Pp"), _LARGEST)


def _picture(model: str, *sections: dict[str, Any]) -> str | None:
    found = next((value for section in sections for key in _PICTURE_KEYS if (value := _first(section.get(key)))), None)
    if found and model.startswith("kling-") and found.startswith("data:"):
        raise _invalid("image must be a URL or Base64 without a data: prefix")
    return found


def _first(value: Any) -> str | None:
    """The first string in a value, in a list of values or in an object that holds one."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, list):
        return next((found for item in value if (found := _first(item))), None)
    if isinstance(value, dict):
        return next((found for key in _INSIDE_KEYS if (found := _first(value.get(key)))), None)
    return None
