"""What an exchange means for the ledger: stored, not stored, or unknown.

The rule is strict on one side only. `fail` is a promise that nothing was stored, so it takes a refusal that says so,
or the certainty that no byte was sent. Everything else that is no acknowledgement is `unknown`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from meshproof.load.client import REFUSED, Exchange

Verdict = Literal["ok", "fail", "unknown"]


class Outcome(NamedTuple):
    """The meaning of one exchange."""

    verdict: Verdict
    status: int | None
    problem: str | None
    """The `type` of the problem document, in a refusal."""
    run_id: str | None
    duplicate: bool | None
    error: str | None
    """Why there was no usable reply."""
    reply: str | None = None
    """What a caller who waited was answered, as it came."""
    gathered: bool = False
    """Whether other deliveries may have the same run."""


class _Reply(msgspec.Struct):
    run_id: str | None = None
    duplicate: bool | None = None
    gathered: bool = False
    type: str | None = None


_decode = msgspec.json.Decoder(_Reply).decode
_NO_REPLY = _Reply()


def outcome_of(exchange: Exchange) -> Outcome:
    """The outcome of an exchange that is done."""
    if not exchange.status:
        return Outcome("fail" if exchange.error == REFUSED else "unknown", None, None, None, None, exchange.error)
    status = exchange.status
    if exchange.run_id:
        return _answered(exchange)
    try:
        reply, error = _decode(exchange.body), None
    except msgspec.DecodeError as fault:
        reply, error = _NO_REPLY, f"the body of the reply is no such JSON as expected: {fault}"
    verdict = verdict_of(status, reply.type)
    if verdict == "ok":
        return Outcome(verdict, status, None, reply.run_id, reply.duplicate, error, gathered=reply.gathered)
    return Outcome(verdict, status, reply.type, None, None, error)


def verdict_of(status: int | None, problem: str | None, *, sent: bool = True) -> Verdict:
    """What a status means; without one it matters whether any byte of the request was sent."""
    match status:
        case None:
            return "unknown" if sent else "fail"
        case _ if 200 <= status < 300:
            return "ok"
        case _ if 400 <= status < 500:
            return "fail"
        case 503 if problem:
            return "fail"
        case _:
            return "unknown"


def _answered(exchange: Exchange) -> Outcome:
    """The outcome for a caller who waited until his run answered: the delivery is stored, whatever the answer says."""
    status, run_id = exchange.status, exchange.run_id.decode("latin-1")
    verdict: Verdict = "ok" if 200 <= status < 300 else "unknown"
    return Outcome(verdict, status, None, run_id, None, None, exchange.body.decode(errors="replace"))


def ledger_line(n: int, delivery: str, outcome: Outcome, sent_us: int | None, reply_us: int) -> bytes:
    """The line for the ledger of outcomes."""
    if outcome.verdict == "ok" and outcome.run_id and not outcome.error and outcome.reply is None:
        # Nearly every line; the general encoder takes four times as long.
        return (
            f'{{"n":{n},"d":"{delivery}","outcome":"ok","status":{outcome.status},"problem":null,'
            f'"run_id":"{outcome.run_id}","duplicate":{"true" if outcome.duplicate else "false"},"error":null,'
            f'"sent_us":{sent_us},"reply_us":{reply_us}}}'
        ).encode()
    return msgspec.json.encode(
        {
            "n": n,
            "d": delivery,
            "outcome": outcome.verdict,
            "status": outcome.status,
            "problem": outcome.problem,
            "run_id": outcome.run_id,
            "duplicate": outcome.duplicate,
            "error": outcome.error,
            "sent_us": sent_us,
            "reply_us": reply_us,
            **({} if outcome.reply is None else {"reply": outcome.reply}),
        }
    )
