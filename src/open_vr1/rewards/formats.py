"""The two formats: strict, which the paper's reward asks for, and lenient.

Strict is exactly: optional whitespace, one non-empty `<think>…</think>`, optional whitespace, one non-empty
`<answer>…</answer>`, optional whitespace, and nothing else; no tag appears twice, nowhere. Rows of the released
cold-start set pass. Lenient is a closed, non-empty thinking and later a non-empty `<answer>` block; other text may
stand anywhere.

Some chat templates end the prompt with `<think>`. The completion then begins inside the thinking: `think_is_open`
reads it as if the tag stood in front of it.
"""

from open_vr1.prompts import ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN
from open_vr1.rewards.answers import answer_blocks

FORMAT_REASONS = ("well_formed", "missing_tag", "repeated_tag", "empty_think", "empty_answer", "text_outside")


def strict_format(completion: str, allow_empty_think: bool = False, think_is_open: bool = False) -> str:
    """
    `"well_formed"` or why it is not.

    Args:
        completion (`str`):
            What the model wrote.
        allow_empty_think (`bool`, *optional*, defaults to `False`):
            Whether `<think></think>` with nothing but whitespace passes.
        think_is_open (`bool`, *optional*, defaults to `False`):
            Whether the prompt already ended with `<think>`.
    """
    text = THINK_OPEN + completion if think_is_open else completion
    counts = [text.count(tag) for tag in (THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE)]
    if 0 in counts:
        return "missing_tag"
    if max(counts) > 1:
        return "repeated_tag"
    before, _, rest = text.partition(THINK_OPEN)
    thinking, _, rest = rest.partition(THINK_CLOSE)
    between, _, rest = rest.partition(ANSWER_OPEN)
    answer, closed, after = rest.partition(ANSWER_CLOSE)
    if not closed or before.strip() or between.strip() or after.strip():
        return "text_outside"
    if not answer.strip():
        return "empty_answer"
    if not thinking.strip() and not allow_empty_think:
        return "empty_think"
    return "well_formed"


def lenient_format(completion: str, think_is_open: bool = False) -> str:
    """`"well_formed"` or why it is not; see the module's first lines."""
    text = THINK_OPEN + completion if think_is_open else completion
    _, opened, rest = text.partition(THINK_OPEN)
    thinking, closed, rest = rest.partition(THINK_CLOSE)
    if not opened or not closed:
        return "missing_tag"
    if not thinking.strip():
        return "empty_think"
    blocks, _ = answer_blocks(rest)
    if not blocks:
        return "missing_tag"
    return "well_formed" if any(block.strip() for block in blocks) else "empty_answer"
