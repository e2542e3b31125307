"""Rewards for GRPO on pictures, each with TRL's signature; docs/rewards.md says what they do.

    from open_vr1.rewards import hard_format_result
    GRPOTrainer(..., reward_funcs=[hard_format_result])

or `open_vr1.rewards.hard_format_result` where a dotted path is asked for. `python -m open_vr1.rewards score` scores
completions from JSON lines.
"""

from open_vr1.rewards.boxes import detection, giou, iou, point_in_box
from open_vr1.rewards.lengths import cosine_length, repetition_penalty, soft_overlong
from open_vr1.rewards.outcome import (
    accuracy,
    format,
    format_lenient,
    format_plus_accuracy,
    hard_format_result,
    tag_count,
)
from open_vr1.rewards.reading import chart_accuracy, counting, ocr
from open_vr1.rewards.registry import resolve

__all__ = [
    "accuracy",
    "chart_accuracy",
    "cosine_length",
    "counting",
    "detection",
    "format",
    "format_lenient",
    "format_plus_accuracy",
    "giou",
    "hard_format_result",
    "iou",
    "ocr",
    "point_in_box",
    "repetition_penalty",
    "resolve",
    "soft_overlong",
    "tag_count",
]
