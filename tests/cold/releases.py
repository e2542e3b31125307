"""
Small releases in the layouts that the real ones have, of real pictures, with faults planted in them.

    release = write_release(tmp_path)
    list(read_source(release.llava_cot, "test"))
"""

import io
import json
import random
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_vr1.cold.sources import SourceEntry
from open_vr1.toy.scenes import draw, make_scene

PARTS = 3
MULBERRY_PROMPT = """Generate an image description based on the question.
Then, provide a rationale to analyze the question.
Finally, provide a concise summary of the final answer in the following format: 'The final answer is: xxx.

Format your response with the following sections, separated by ###:
### Image Description:
### Rationales:
### The final answer is:\x20

Question: """
FINAL_ANSWER_PLEASE = 'Return the final answer as "Final Answer:option".'


@dataclass(frozen=True)
class Release:
    """
    Entries of sources whose files are there.

    Args:
        llava_cot (`SourceEntry`):
            The LLaVA-CoT half of Vision-R1-cold, with pictures in a zip.
        mulberry (`SourceEntry`):
            The Mulberry half of Vision-R1-cold, with pictures in a tar.
        llava_cot_100k (`SourceEntry`):
            What the first was made of, with pictures in a zip in three parts.
        mulberry_sft (`SourceEntry`):
            What the second was made of, with pictures in the tar.
        pictures (`dict[str, bytes]`):
            Every picture by the path that the releases' archives have.
    """

    llava_cot: SourceEntry
    mulberry: SourceEntry
    llava_cot_100k: SourceEntry
    mulberry_sft: SourceEntry
    pictures: dict[str, bytes]


def picture(seed: int) -> bytes:
    """A PNG of a scene."""
    rng = random.Random(seed)
    file = io.BytesIO()
    draw(make_scene(rng.choice(["count", "compare", "bars", "rectangle"]), 2, rng)).save(file, "PNG")
    return file.getvalue()


def chat(question: str, reply: str | None, names: tuple[str, str] = ("human", "gpt")) -> list[dict[str, str]]:
    """A conversation of one question, or of the question alone."""
    turns = [{"from": names[0], "value": question}]
    return turns if reply is None else [*turns, {"from": names[1], "value": reply}]


def cold_reply(answer: str) -> str:
    """A reply of Vision-R1-cold."""
    return f"<think> Hmm, let me look. Wait, I should check. So that is it. </think><answer> Final Answer:{answer} </answer>"


def cot_reply(conclusion: str) -> str:
    """A reply of LLaVA-CoT-100k."""
    return (
        "<SUMMARY> I will look at the picture. </SUMMARY>\n\n<CAPTION> Some shapes. </CAPTION>\n\n"
        f"<REASONING> There they are. </REASONING>\n\n<CONCLUSION> {conclusion} </CONCLUSION>"
    )


def mulberry_reply(answer: str) -> str:
    """A reply of Mulberry."""
    return (
        "### Image Description:\nSome shapes.\n\n### Rationales:\nWe count.\n\n### Let's think step by step.\n\n"
        f"### Step 1:\nThere they are.\n\n### The final answer is:\n {answer}."
    )


def write_release(folder: Path) -> Release:
    """Writes all four sources with their pictures and gives their entries."""
    folder.mkdir(parents=True, exist_ok=True)
    llava = {
        name: picture(i) for i, name in enumerate(["coco/train2017/1.png", "sqa/train/2/image.png", "geoqa+/3.png"])
    }
    mulberry = {
        f"{name}.png": picture(10 + i)
        for i, name in enumerate(["geoqa_plus/images/12", "DVQA/images/12", "geo3k/images/7"])
    }
    llava["chartqa/train/png/cut.png"] = picture(20)[:60]
    write_zip(folder / "image.zip", llava)
    cut(folder / "image.zip", folder / "parts", PARTS)
    write_tar(folder / "mulberry_images.tar", {f"mulberry_images/{name}": data for name, data in mulberry.items()})
    write_json(folder / "vision_r1_llava_cot_full.json", _cold_llava_rows())
    write_json(folder / "vision_r1_mulberry_sft_full.json", _cold_mulberry_rows())
    write_lines(folder / "train.jsonl", _llava_cot_100k_rows())
    write_json(folder / "mulberry_sft.json", _mulberry_sft_rows())
    tar = str(folder / "mulberry_images.tar")
    return Release(
        {
            "name": "llava_cot",
            "path": str(folder / "vision_r1_llava_cot_full.json"),
            "pictures": str(folder / "image.zip"),
            "license": "cc-by-nc-sa-4.0",
        },
        {"name": "mulberry", "path": str(folder / "vision_r1_mulberry_sft_full.json"), "pictures": tar},
        {
            "name": "llava_cot_100k",
            "path": str(folder / "train.jsonl"),
            "pictures": str(folder / "parts/image.zip.part-*"),
            "license": {"sqa": "cc-by-nc-sa-4.0", "*": "apache-2.0"},
        },
        {"name": "mulberry_sft", "path": str(folder / "mulberry_sft.json"), "pictures": [tar]},
        {**llava, **mulberry},
    )


def _cold_llava_rows() -> list[dict[str, Any]]:
    rows = [
        ("coco-1", "coco/train2017/1.png", "How many circles are there?", cold_reply("3")),
        ("sqa-2", "sqa/train/2/image.png", "Which is higher?\nChoices: A: red B: blue", cold_reply("option B")),
        (
            "geoqa-3",
            "geoqa+/3.png",
            "What is the area?",
            cold_reply("12").replace("answer>", "ANSWER>").replace("think>", "THINK>"),
        ),
        ("coco-1", "coco/train2017/1.png", "How many squares are there?", cold_reply("1")),
        ("gone-4", "coco/train2017/4.png", "How many squares are there?", cold_reply("1")),
        ("cut-5", "chartqa/train/png/cut.png", "How high is the red bar?", cold_reply("2")),
        ("silent-6", "coco/train2017/1.png", "How many circles are there?", "<think> Hmm, let me look. Wait"),
    ]
    return [
        {"id": name, "image": f"llava_cot_images/{path}", "conversations": chat(f"<image>\n{question}", reply)}
        for name, path, question, reply in rows
    ]


def _cold_mulberry_rows() -> list[dict[str, Any]]:
    names = ("user", "assistant")
    rows = [
        (
            "geoqa_plus/images/12.png",
            f"Find x. Choices: A: 30° B: 45° C: 60° D: 90° {FINAL_ANSWER_PLEASE}",
            cold_reply("option C"),
        ),
        ("DVQA/images/12.png", "How high is the blue bar?", cold_reply("4.")),
        ("geo3k/images/7.png", f"Find y. {FINAL_ANSWER_PLEASE}", cold_reply("option A.\nAnswer:A")),
        ("geo3k/images/7.png", f"Find z. Choices: A: 1 B: 2 {FINAL_ANSWER_PLEASE}", cold_reply("E")),
    ]
    return [
        {"images": f"mulberry_images/{path}", "conversations": chat(f"<image>{question}", reply, names)}
        for path, question, reply in rows
    ]


def _llava_cot_100k_rows() -> list[dict[str, Any]]:
    follow_up = chat("What colour are they?", cot_reply("Red."))
    return [
        {
            "id": "c1",
            "image": "coco/train2017/1.png",
            "conversations": chat("How many?\n<image>", cot_reply("3")) + follow_up,
        },
        {
            "id": "s2",
            "image": "sqa/train/2/image.png",
            "conversations": chat("<image>\nWhich?\nOptions: (A) red (B) blue", cot_reply("The answer is B.")),
        },
        {"id": "g3", "image": "geoqa+/3.png", "conversations": chat("<image>\nHow long?", None)},
    ]


def _mulberry_sft_rows() -> list[dict[str, Any]]:
    question = f"{MULBERRY_PROMPT}Find x.\nChoices: A: 30° B: 45°"
    return [
        {
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": mulberry_reply("option B")},
            ],
            "images": "/geoqa_plus/images/12.png",
        }
    ]


def write_zip(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> None:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def cut(path: Path, folder: Path, parts: int) -> list[Path]:
    """What `split` makes of a file."""
    folder.mkdir(exist_ok=True)
    data = path.read_bytes()
    size = -(-len(data) // parts)
    files = [folder / f"{path.name}.part-a{chr(ord('a') + i)}" for i in range(parts)]
    for i, file in enumerate(files):
        file.write_bytes(data[i * size : (i + 1) * size])
    return files


def write_json(path: Path, rows: list[Any]) -> None:
    path.write_text(json.dumps(rows, indent=2, ensure_ascii=False))


def write_lines(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
