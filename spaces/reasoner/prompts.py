"""Answer format, system prompts and message building: the only module that knows the tags.

A completion in the format that Vision-R1 was released with:

    <think> The bars reach 3 and 5, so the sum is 8. </think><answer> Final Answer:8 </answer>

The paper's runs give no system prompt and add no instruction: the cold start alone teaches the format. Only its Zero
variant, which has no cold start, asks for the tags (`system_prompt: r1_zero` in a recipe).
"""

import re
from typing import Any

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
ANSWER_OPEN, ANSWER_CLOSE = "<answer>", "</answer>"
FINAL_ANSWER = "Final Answer:"
IMAGE_PLACEHOLDER = "<image>"

SYSTEM_PROMPTS = {
    "r1_zero": (
        "You answer questions about pictures. Think first, then answer. Write your thinking between "
        f"{THINK_OPEN} and {THINK_CLOSE} and after it the answer alone between {ANSWER_OPEN} and {ANSWER_CLOSE}, like "
        f"this: {THINK_OPEN} thinking {THINK_CLOSE}{ANSWER_OPEN} answer {ANSWER_CLOSE}"
    ),
}


def format_completion(thinking: str, answer: str) -> str:
    """One assistant turn in the released format."""
    return f"{THINK_OPEN} {thinking} {THINK_CLOSE}{ANSWER_OPEN} {FINAL_ANSWER}{answer} {ANSWER_CLOSE}"


def question_text(question: str, choices: list[str] | None = None) -> str:
    """The question with its choices lettered below it, as the released rows have them."""
    if not choices:
        return question
    lettered = " ".join(f"{chr(ord('A') + i)}: {choice}" for i, choice in enumerate(choices))
    return f"{question}\nChoices: {lettered}"


def chat_text(messages: list[dict[str, Any]], role: str) -> str:
    """
    The words of a chat of one message, with a mark for each picture.

    Args:
        messages (`list[dict]`):
            Messages whose content is text or a list of parts.
        role (`str`):
            Who has to have said them.
    """
    if len(messages) != 1 or messages[0].get("role") != role:
        said = ", ".join(str(message.get("role")) for message in messages)
        raise ValueError(f"one message of the {role} is wanted, and these are of: {said}; split the rows")
    content = messages[0].get("content")
    if isinstance(content, str):
        return content
    parts = [IMAGE_PLACEHOLDER if part.get("type") == "image" else part.get("text") or "" for part in content or []]
    if not "".join(parts).replace(IMAGE_PLACEHOLDER, "").strip():
        raise ValueError(f"the message of the {role} has no words")
    return "".join(parts)


def build_prompt(text: str, num_images: int, system_prompt: str | None = None) -> list[dict[str, Any]]:
    """
    Chat messages for one row, with one image part per picture.

    Args:
        text (`str`):
            The user's words. `<image>` marks where a picture goes; a text without marks gets its pictures first.
        num_images (`int`):
            How many pictures the row has.
        system_prompt (`str`, *optional*):
            A name from `SYSTEM_PROMPTS` or the prompt itself.
    """
    if IMAGE_PLACEHOLDER not in text:
        text = IMAGE_PLACEHOLDER * num_images + text
    marked = text.count(IMAGE_PLACEHOLDER)
    if marked != num_images:
        raise ValueError(f"the text has {marked} {IMAGE_PLACEHOLDER} marks but the row has {num_images} pictures")
    # Every part carries a "text" key: Arrow would add it anyway, and rows then look alike before and after a save.
    content = [
        {"type": "image", "text": None} if part == IMAGE_PLACEHOLDER else {"type": "text", "text": part.strip()}
        for part in re.split(f"({IMAGE_PLACEHOLDER})", text)
        if part.strip()
    ]
    messages = [{"role": "user", "content": content}]
    if system_prompt:
        system_prompt = SYSTEM_PROMPTS.get(system_prompt, system_prompt)
        messages.insert(0, {"role": "system", "content": [{"type": "text", "text": system_prompt}]})
    return messages
