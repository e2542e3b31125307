"""Rows and processors: what reaches a trainer, what is refused before a model loads, and that no picture is touched."""

import io
import json
import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict, Features, Image, List, Value
from PIL import Image as PILImage

from open_vr1.data import load_processor, load_rows
from open_vr1.errors import UserError
from open_vr1.recipe_arguments import GRPOArguments, SFTArguments

PICTURE_SIZE = (64, 48)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Each test has its own working folder and cache, and no Hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    from tests.ptst.tiny import build_tiny

    path = tmp_path_factory.mktemp("tiny")
    build_tiny(path)
    return str(path)


def picture(number: int = 0, size: tuple[int, int] = PICTURE_SIZE, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    PILImage.new("RGB", size, (number * 37 % 256, 90, 200)).save(file, format)
    return file.getvalue()


def write_jsonl(rows: list[dict], path: str = "rows.jsonl", pictures: int = 3) -> str:
    for i in range(pictures):
        Path(f"{i}.png").write_bytes(picture(i))
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(number: int = 0, **changes) -> dict:
    return {"prompt": f"question {number}", "images": [f"{number % 3}.png"], "solution": str(number), **changes}


def write_parquet(count: int, path: str = "rows.parquet", single: bool = False, **columns) -> str:
    pictures = [{"bytes": picture(i), "path": None} for i in range(count)]
    name, value, feature = (
        ("image", pictures, Image()) if single else ("images", [[p] for p in pictures], List(Image()))
    )
    rows = {"prompt": [f"question {i}" for i in range(count)], name: value, "solution": [str(i) for i in range(count)]}
    features = {"prompt": Value("string"), name: feature, "solution": Value("string")}
    rows.update(columns)
    features.update(dict.fromkeys(columns, Value("string")))
    Dataset.from_dict(rows, features=Features(features)).to_parquet(path)
    return path


def grpo(*paths: str, **keys) -> GRPOArguments:
    keys.setdefault("datasets", [{"path": path} for path in paths])
    return GRPOArguments(task="grpo", **keys)


def sft(path: str, **keys) -> SFTArguments:
    return SFTArguments(task="sft", datasets=[{"path": path}], **keys)


def message_of(args, **keys) -> str:
    with pytest.raises(UserError) as error:
        load_rows(args, **keys)
    return str(error.value)


def text_of(messages: list[dict]) -> str:
    return "".join(part["text"] or "" for message in messages for part in message["content"])


@pytest.mark.parametrize("single", [True, False])
def test_parquet_rows_reach_the_trainer_as_prompt_images_solution(single):
    rows = load_rows(grpo(write_parquet(3, single=single), columns={"images": "image"} if single else {}))
    assert rows.column_names == ["prompt", "solution", "images"]
    assert rows[2]["solution"] == "2"
    assert rows[2]["images"][0].size == PICTURE_SIZE
    assert rows[2]["prompt"] == [
        {"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "question 2"}]}
    ]


def test_jsonl_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    write_jsonl([row(0), row(1, images=["1.png", "2.png"])])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    rows = load_rows(grpo("../rows.jsonl"))
    assert [len(images) for images in rows["images"]] == [1, 2]
    assert rows[1]["images"][1].getpixel((0, 0)) == (74, 90, 200)


def test_a_single_path_per_row_is_a_list_of_one_picture():
    rows = load_rows(
        grpo(write_jsonl([{"prompt": "a", "image": "1.png", "solution": "b"}]), columns={"images": "image"})
    )
    assert rows[0]["images"][0].size == PICTURE_SIZE


def test_parquet_without_dataset_metadata_and_raw_bytes_load():
    table = pa.table({"prompt": ["a", "b"], "images": [[picture(1)], [picture(2)]], "solution": ["1", "2"]})
    pq.write_table(table, "raw.parquet")
    assert load_rows(grpo("raw.parquet"))[1]["images"][0].getpixel((0, 0)) == (74, 90, 200)


def test_picture_bytes_are_those_of_the_source_file(tmp_path):
    original = picture(5, format="JPEG")
    features = Features({"problem": Value("string"), "image": Image(), "answer": Value("string")})
    source = Dataset.from_dict(
        {"problem": ["q"], "image": [{"bytes": original, "path": None}], "answer": ["a"]}, features
    )
    source.to_parquet("rows.parquet")
    rows = load_rows(grpo("rows.parquet", columns={"prompt": "problem", "images": "image", "solution": "answer"}))
    assert rows.cast_column("images", List(Image(decode=False)))[0]["images"][0]["bytes"] == original


@pytest.mark.parametrize("single", [True, False])
def test_pictures_are_not_copied_on_the_way_to_the_trainer(monkeypatch, single):
    from open_vr1 import data

    sources = []
    open_source = data.open_source
    monkeypatch.setattr(data, "open_source", lambda *a: sources.append(open_source(*a)) or sources[-1])
    path = write_parquet(6, single=single)
    datasets = [{"path": path, "fraction": 0.5, "columns": {"images": "image"} if single else {}}, {"path": path}]
    rows = load_rows(grpo(datasets=datasets[:1] if single else datasets))

    def addresses(dataset, column):
        found = set()
        for chunk in dataset.data.column(column).chunks:
            structs = chunk.values if pa.types.is_list(chunk.type) else chunk
            found.add(structs.field("bytes").buffers()[2].address)
        return found

    assert addresses(rows, "images") <= {
        a for source, _ in sources for a in addresses(source, "image" if single else "images")
    }


def test_columns_of_an_entry_come_before_those_of_the_recipe():
    path = write_jsonl([{"question": "asked", "problem": "not asked", "images": ["0.png"], "answer": 5}])
    columns = {"prompt": "problem", "solution": "answer"}
    entry = {"path": path, "columns": {"prompt": "question"}}
    rows = load_rows(grpo(datasets=[entry], columns=columns))
    assert text_of(rows[0]["prompt"]) == "asked"
    assert rows[0]["solution"] == "5"


def test_a_column_that_the_recipe_names_is_carried_to_the_rewards():
    rows = load_rows(grpo(write_jsonl([row(0, level=3)]), columns={"difficulty": "level"}))
    assert rows[0]["difficulty"] == 3


def test_choices_are_part_of_the_prompt_and_the_solution_stays_gold():
    rows = load_rows(grpo(write_jsonl([row(0, choices=["red", "blue"], solution="B")])))
    assert text_of(rows[0]["prompt"]) == "question 0\nChoices: A: red B: blue"
    assert (rows[0]["choices"], rows[0]["solution"]) == (["red", "blue"], "B")


def test_image_marks_say_where_the_pictures_go():
    rows = load_rows(grpo(write_jsonl([row(0, prompt="<image> or <image>?", images=["0.png", "1.png"])])))
    assert [part["type"] for part in rows[0]["prompt"][0]["content"]] == ["image", "text", "image", "text"]


def test_a_system_prompt_comes_first():
    rows = load_rows(grpo(write_jsonl([row(0)]), system_prompt="Be brief."))
    assert [message["role"] for message in rows[0]["prompt"]] == ["system", "user"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"completion": "as it is"}, "as it is"),
        ({"thinking": "so", "answer": "7"}, "<think> so </think><answer> Final Answer:7 </answer>"),
        ({"thinking": "so"}, "<think> so </think><answer> Final Answer:0 </answer>"),
    ],
)
def test_sft_rows_have_a_completion(columns, expected):
    rows = load_rows(sft(write_jsonl([row(0, **columns)])))
    assert rows[0]["completion"][0]["role"] == "assistant"
    assert text_of(rows[0]["completion"]) == expected


def test_rows_work_with_trl_messages():
    from trl.data_utils import prepare_multimodal_messages

    example = load_rows(sft(write_jsonl([row(0, completion="yes")])))[0]
    messages = prepare_multimodal_messages(example["prompt"] + example["completion"], images=example["images"])
    assert messages[0]["content"][0]["image"].size == PICTURE_SIZE


def test_folders_load_by_split():
    Path("folder/data").mkdir(parents=True)
    write_parquet(2, "folder/data/train-00000-of-00001.parquet")
    write_parquet(3, "folder/data/test-00000-of-00001.parquet")
    Path("folder/built.json").write_text("{}")
    assert len(load_rows(grpo("folder"))) == 2
    assert len(load_rows(grpo(datasets=[{"path": "folder", "split": "test[:2]"}]))) == 2


def test_folders_of_save_to_disk_load_by_split():
    write_parquet(4)
    rows = Dataset.from_parquet("rows.parquet")
    DatasetDict({"train": rows, "test": rows.select([0])}).save_to_disk("saved")
    assert len(load_rows(grpo(datasets=[{"path": "saved", "split": "test"}]))) == 1
    assert "split: train or test" in message_of(grpo(datasets=[{"path": "saved", "split": "dev"}]))


def test_eval_rows_come_from_eval_datasets():
    args = grpo(write_parquet(4), eval_datasets=[{"path": write_parquet(2, "eval.parquet")}])
    assert (len(load_rows(args)), len(load_rows(args, which="eval"))) == (4, 2)
    assert "eval_datasets" in message_of(grpo("rows.parquet"), which="eval")


def test_mixtures_hold_every_row_in_an_order_that_the_seed_decides():
    write_jsonl([row(i) for i in range(20)])
    write_parquet(20)
    args = grpo("rows.jsonl", "rows.parquet")
    orders = [load_rows(args, seed=seed)["solution"][:] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2]) == sorted(2 * [str(i) for i in range(20)])


def test_a_mixture_leaves_out_the_choices_of_rows_that_have_none():
    write_jsonl([row(0, choices=["a", "b"], id="m")], "choices.jsonl")
    write_jsonl([row(1)], "free.jsonl")
    rows = load_rows(grpo("choices.jsonl", "free.jsonl"))
    assert {answer: choices for answer, choices in zip(rows["solution"], rows["choices"])} == {
        "0": ["a", "b"],
        "1": None,
    }


def test_a_mixture_of_different_types_is_refused():
    write_jsonl([row(0, level="hard")], "a.jsonl")
    write_jsonl([row(1, level={"hard": 1})], "b.jsonl")
    assert "different types" in message_of(grpo("a.jsonl", "b.jsonl", columns={"level": "level"}))


def test_a_fraction_is_a_sample_that_the_seed_decides():
    write_parquet(40)
    args = grpo(datasets=[{"path": "rows.parquet", "fraction": 0.25}])
    samples = [load_rows(args, seed=seed)["solution"][:] for seed in (0, 0, 1)]
    assert samples[0] == samples[1] != samples[2]
    assert len(set(samples[0])) == 10


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row(0), row(1, images=["gone.png"])], ["row 1", "gone.png"]),
        ([row(0), row(1, images=[])], ["row 1", "no picture"]),
        ([row(0), row(1, images=None)], ["row 1", "no picture"]),
        ([row(0), row(1, solution=" ")], ["row 1", "solution", "empty"]),
        ([row(0), row(1, solution=None)], ["row 1", "solution", "None"]),
        ([row(0, choices="A, B")], ["row 0", "choices", "a list of texts"]),
        ([row(0, choices=["a", None])], ["row 0", "choices", "None"]),
        ([row(0), row(1, prompt="")], ["row 1", "prompt", "empty"]),
        ([row(0), row(1, id="q-7", prompt="<image><image>?")], ["row 1 (id q-7)", "2 <image> marks", "1 pictures"]),
        ([], ["no row"]),
    ],
)
def test_a_row_that_cannot_be_trained_on_is_named(rows, said):
    if rows and "id" in rows[-1]:
        rows = [dict(r, id=r.get("id", "x")) for r in rows]
    message = message_of(grpo(write_jsonl(rows)))
    assert all(word in message for word in ["rows.jsonl", *said]), message


def test_rows_of_a_slice_are_checked_and_counted_from_its_start():
    path = write_jsonl([row(0, images=["gone.png"]), row(1), row(2, images=["0.png", "lost.png"]), row(3)])
    assert "row 1: " in message_of(grpo(datasets=[{"path": path, "split": "train[1:]"}]))
    rows = load_rows(grpo(datasets=[{"path": path, "split": "train[3:]"}]))
    assert (len(rows), rows[0]["images"][0].getpixel((0, 0))) == (1, (0, 90, 200))


def test_a_missing_column_is_named_with_those_that_are_there():
    message = message_of(grpo(write_jsonl([{"problem": "q", "images": ["0.png"], "solution": "1"}])))
    assert "problem, images, solution" in message and "columns: {prompt: problem}" in message
    message = message_of(grpo("rows.jsonl", columns={"prompt": "query"}))
    assert "columns.prompt" in message and "query" in message
    assert "completion" in message_of(sft(write_jsonl([row(0)])))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("outputs/gone.parquet", "no such file"),
        ("./gone", "no such file"),
        ("notes.txt", "no such file"),
        ("someone/never-made", "hf download someone/never-made"),
    ],
)
def test_a_dataset_that_is_not_there_is_named(path, said):
    if path == "notes.txt":
        Path(path).write_text("")
        said = ".txt is not read"
    message = message_of(grpo(path))
    assert path in message and said in message, message


def test_a_file_that_is_not_what_its_name_says_is_one_message():
    Path("rows.parquet").write_text("no parquet")
    Path("rows.jsonl").write_text('{"prompt": "a"}\n{"prompt": ')
    for path in ("rows.parquet", "rows.jsonl"):
        assert message_of(grpo(path)).startswith(f"datasets[0]: {path}: it cannot be read")


def broken_rows(count: int, broken: dict[int, bytes]) -> str:
    rows = [{"id": f"q{i}", **row(i, images=[f"p{i}.png"])} for i in range(count)]
    for i in range(count):
        Path(f"p{i}.png").write_bytes(broken.get(i, picture(i)))
    return write_jsonl(rows)


def test_unreadable_pictures_within_the_limit_are_skipped_and_listed(caplog):
    truncated = picture(1, (200, 200), "JPEG")[:-400]
    path = broken_rows(20, {3: b"nothing", 7: truncated})
    with caplog.at_level(logging.WARNING):
        rows = load_rows(grpo(path, max_bad_rows=0.1))
    assert len(rows) == 18 and not {"q3", "q7"} & set(rows["id"])
    assert "2 of 20 rows" in caplog.text and "row 3 (id q3)" in caplog.text and "truncated" in caplog.text


def test_unreadable_pictures_above_the_limit_are_an_error_that_says_the_share():
    path = broken_rows(20, {i: b"nothing" for i in range(15)})
    message = message_of(grpo(path, max_bad_rows=0.7))
    assert "15 of 20 rows" in message and "max_bad_rows: 0.75" in message
    assert "row 9 " in message and "row 10 " not in message and "and 5 more" in message


def test_a_mended_picture_is_read_again():
    path = broken_rows(2, {1: b"nothing"})
    message_of(grpo(path))
    Path("p1.png").write_bytes(picture(1))
    assert len(load_rows(grpo(path))) == 2


def test_pictures_are_checked_by_several_processes_with_the_same_result(monkeypatch, caplog):
    path = broken_rows(12, {7: b"nothing"})
    monkeypatch.setattr("open_vr1.image_columns.ROWS_PER_PROCESS", 4)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    with caplog.at_level(logging.WARNING):
        rows = load_rows(grpo(path, max_bad_rows=0.1))
    assert rows["id"][:] == [f"q{i}" for i in range(12) if i != 7]
    assert "row 7 (id q7)" in caplog.text


def test_a_second_load_does_not_decode_again(monkeypatch):
    write_parquet(3)
    load_rows(grpo("rows.parquet"))
    monkeypatch.setattr(Image, "decode_example", lambda *a, **k: pytest.fail("decoded again"))
    load_rows(grpo("rows.parquet"))


def measured(processor, row: dict, completion: bool = False) -> int:
    """Tokens of a row as the processor makes them from its pixels."""
    messages = row["prompt"] + (row["completion"] if completion else [])
    text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=not completion)
    return processor(text=[text], images=row["images"])["input_ids"][0].__len__()


def test_row_lengths_are_those_that_the_processor_gives(tiny):
    processor = load_processor(tiny, 28 * 28, 112 * 112)
    for i, size in enumerate([(28, 28), (300, 120), (90, 200)]):
        Path(f"s{i}.png").write_bytes(picture(i, size))
    rows = [row(i, images=[f"s{i}.png"] * (i + 1), completion="c" * 10 * (i + 1)) for i in range(3)]
    args = sft(write_jsonl(rows))
    everything = load_rows(args)
    for key, completion in (("max_prompt_length", False), ("max_row_length", True)):
        lengths = [measured(processor, everything[i], completion) for i in range(3)]
        assert len(set(lengths)) == 3
        for limit in lengths:
            kept = load_rows(sft("rows.jsonl", **{key: limit}), processor=processor)
            assert len(kept) == sum(length <= limit for length in lengths)


def test_rows_above_the_length_are_counted_and_none_left_is_an_error(tiny, caplog):
    processor = load_processor(tiny)
    path = write_jsonl([row(0), row(1, prompt="long " * 50)])
    with caplog.at_level(logging.WARNING):
        assert len(load_rows(grpo(path, max_prompt_length=100), processor=processor)) == 1
    assert "1 of 2 rows" in caplog.text and "max_prompt_length: 100" in caplog.text
    assert "shortest has" in message_of(grpo(path, max_prompt_length=3), processor=processor)


def test_a_picture_of_a_shape_that_the_model_refuses_is_a_bad_row(tiny):
    Path("thin.png").write_bytes(picture(0, (900, 3)))
    path = write_jsonl([row(0), row(1, images=["thin.png"])])
    assert "900 x 3 pixels" in message_of(grpo(path), processor=load_processor(tiny))
    assert len(load_rows(grpo(path, max_bad_rows=0.5), processor=load_processor(tiny))) == 1


def test_prompts_and_completions_may_be_chats():
    """As any TRL user has them, and as our cold data has them: words or parts, a mark for each picture."""
    parts = [{"type": "image"}, {"type": "text", "text": "How many?"}]
    rows = [
        row(0, prompt=[{"role": "user", "content": parts}], completion=[{"role": "assistant", "content": "Three."}]),
        row(1, prompt=[{"role": "user", "content": parts}], completion=[{"role": "assistant", "content": "Four."}]),
    ]
    made = load_rows(SFTArguments(task="sft", datasets=[{"path": write_jsonl(rows)}]))
    assert made[0]["prompt"][0]["content"] == [
        {"type": "image", "text": None},
        {"type": "text", "text": "How many?"},
    ]
    assert made[1]["completion"][0]["content"][0]["text"] == "Four."


def test_choices_are_not_added_to_a_chat_that_has_them():
    chat = [{"role": "user", "content": "<image>Which?\nChoices: A: one B: two"}]
    path = write_jsonl([row(0, prompt=chat, choices=["one", "two"])])
    (part,) = [part for part in load_rows(grpo(path))[0]["prompt"][0]["content"] if part["type"] == "text"]
    assert part["text"].count("Choices:") == 1


@pytest.mark.parametrize(
    ("chat", "message"),
    [
        ([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}], "one message of the user"),
        ([{"role": "assistant", "content": "Hi"}], "one message of the user"),
        ([{"role": "user", "content": [{"type": "image"}]}], "no words"),
    ],
)
def test_a_chat_that_is_no_question_is_refused(chat, message):
    path = write_jsonl([row(0, prompt=chat)])
    assert message in message_of(grpo(path)) and "column prompt" in message_of(grpo(path))
