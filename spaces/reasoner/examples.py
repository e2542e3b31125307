"""Pictures to begin with, unseen in training: rows of the toy world's test split with seed 1, named by their ids."""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "examples"


@dataclass(frozen=True)
class Example:
    id: str
    label: str
    question: str

    @property
    def picture(self) -> Path:
        return FOLDER / f"{self.id}.png"


EXAMPLES = (
    Example("test-1-000000", "Count circles", "How many red circles are there?"),
    Example(
        "test-1-000005",
        "Compare shapes",
        "Are there more squares or triangles?\nChoices: A: squares B: triangles C: the same number",
    ),
    Example("test-1-000018", "Add bars", "How high are the green bar and the red bar together?"),
    Example("test-1-000050", "Subtract bars", "How far apart in height are the green bar and the red bar?"),
    Example("test-1-000007", "Measure an area", "What is the area of the right rectangle?"),
    Example("test-1-000024", "Count and choose", "How many red triangles are there?\nChoices: A: 0 B: 1 C: 2 D: 3"),
)
