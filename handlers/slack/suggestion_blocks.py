"""A suggestion as its own message: what, why, how risky, and the two buttons; afterwards who decided what."""

from bot.domain.suggestion import Decision, Suggestion, Verdict
from handlers.slack.actions import APPROVE, REJECT
from handlers.slack.message import Message
from handlers.slack.report_blocks import Links
from handlers.slack.text import Block, clip, context, escape, mention, moment, plain, plain_text, prose, section

NOTHING_EXECUTED = (
    "Groundwire does not execute anything yet: approving records the decision, the change itself is yours to make."
)


def suggestion_message(suggestion: Suggestion, links: Links) -> Message:
    """The suggestion with Approve and Reject."""
    buttons = {
        "type": "actions",
        "elements": [
            _button(APPROVE, "Approve", "primary", suggestion),
            _button(REJECT, "Reject", "danger", suggestion),
        ],
    }
    blocks = (*_said(suggestion, links), context(NOTHING_EXECUTED), buttons)
    return Message(text=plain(f"Suggestion: {clip(suggestion.title, 300)}"), blocks=blocks)


def decided_message(suggestion: Suggestion, decision: Decision, links: Links) -> Message:
    """The suggestion with the decision in place of the buttons."""
    word = "Approved" if decision.verdict is Verdict.APPROVED else "Rejected"
    decided = f"*{word}* by {mention(decision.decided_by)} at {moment(decision.decided_at_s)}"
    closing = "Nothing is executed by Groundwire yet." if decision.verdict is Verdict.APPROVED else "Nothing is done."
    return Message(
        text=plain(f"{word}: {clip(suggestion.title, 300)}"),
        blocks=(*_said(suggestion, links), section(decided), context(closing)),
    )


def suggestion_text(suggestion: Suggestion) -> str:
    """The suggestion without blocks, for when Slack refuses them."""
    title = f"Suggestion: {escape(clip(suggestion.title, 300))} (risk: {suggestion.risk.value})"
    return f"{title}\n{prose(clip(suggestion.detail, 1500))}\n{NOTHING_EXECUTED}"


def _said(suggestion: Suggestion, links: Links) -> tuple[Block, ...]:
    title = f"*{escape(clip(suggestion.title, 300))}* · {suggestion.kind.value} · risk: {suggestion.risk.value}"
    because = " ".join(f"[{e}]" for e in suggestion.evidence[:12])
    lines = [title, prose(clip(suggestion.detail, 1200))]
    return (section("\n".join(lines)), *((context(f"Because of {prose(because, links)}"),) if because else ()))


def _button(action: str, text: str, style: str, suggestion: Suggestion) -> Block:
    return {
        "type": "button",
        "action_id": action,
        "style": style,
        "text": plain_text(text, 75),
        "value": suggestion.id,
    }
