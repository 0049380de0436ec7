"""The gateway's table of error codes (modelverse-api.md §7.3), and the undocumented ones that a client must survive."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row of the table of gateway codes."""

    status: int
    type: str
    code: str | None
    message: str


_REQUEST = "invalid_request_error"
REFUSALS = {
    "param_error": Refusal(400, _REQUEST, "param_error", "Invalid param"),
    "sensitive_check_error": Refusal(400, _REQUEST, "sensitive_check_error", "Sensitive check error: the check failed"),
    "model_error": Refusal(400, _REQUEST, "model_error", "No permission to use the model"),
    "tokens_too_long": Refusal(400, _REQUEST, "tokens_too_long", "Prompt tokens too long"),
    "auth_error": Refusal(401, _REQUEST, "auth_error", "Validate Certification failed"),
    "arrears": Refusal(402, "permission_error", None, "Account balance is insufficient, please recharge"),
    "quota": Refusal(
        403,
        "permission_error",
        "forbidden",
        "Access forbidden: api key quota exceeded, key_id=emulated, daily_limit_amount=100, monthly_limit_amount=1000",
    ),
    "ip_refused": Refusal(
        403, "permission_error", "forbidden", "Access forbidden: api key ip not in whitelist, key_id=emulated, ip=::1"
    ),
    "timeout": Refusal(408, "timeout", "timeout", "Request timeout, please try again later"),
    "rate_limit": Refusal(429, "rate_limit_error", "rate_limit", "Rate limit exceeded, please try again later"),
    "internal_error": Refusal(500, "internal_error", "internal_error", "Internal Server Error"),
    "model_server_error": Refusal(500, "internal_error", "model_server_error", "Request llm server Error"),
    "unavailable": Refusal(503, "internal_error", None, "Service Unavailable"),
    "gateway_timeout_error": Refusal(504, "timeout", "gateway_timeout_error", "Gateway timeout"),
}
"""By the name that a scenario gives them; most are the gateway's own codes."""
