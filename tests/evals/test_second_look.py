"""What an evaluation does where a folder, a dataset, a recipe or a server is not as one would wish."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from open_vr1.evals.records import read_samples
from open_vr1.evaluate import main
from tests.evals.model_server import serve

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "open_vr1.evaluate", "--config", "eval.yaml"]


def evaluate(path, *words):
    return main(["--config", path, *words])


def results(folder="out"):
    return json.loads(Path(folder, "results.json").read_text())


def environment(**more):
    return os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", **more}


def answering(words="<answer> 3 </answer>", pause=0.0):
    """An endpoint that says the same to everybody, as options of [`serve`]."""

    def say(number):
        time.sleep(pause)
        choice = {"message": {"content": words}, "finish_reason": "stop"}
        return 200, json.dumps({"choices": [choice], "usage": {"completion_tokens": 3}})

    return {"rows": [], "fails": say}


def own(write_recipe, url, lines, **keys):
    Path("mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    entry = {"name": "mine", "path": "mine.jsonl", **keys.pop("entry", {})}
    return write_recipe(url, benchmarks=[entry], **keys)


def one_line(capsys, *words):
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1, error
    for word in words:
        assert word in error
    return error


@pytest.fixture
def picture(write_recipe):
    """Asks for `write_recipe` first, which changes the folder."""
    Image.new("RGB", (30, 30), "red").save("a.png")
    return "a.png"


# ----- The folder


def test_a_second_start_in_the_same_folder_is_refused_while_the_first_runs(write_recipe, capsys):
    refused = threading.Event()

    def say(number):
        refused.wait(120)
        return answering()["fails"](number)

    with serve([], fails=say) as server:
        recipe = write_recipe(server.url, max_questions=8)
        first = subprocess.Popen(COMMAND, env=environment(), stdout=subprocess.DEVNULL)
        while not server.asked:
            assert first.poll() is None
            time.sleep(0.02)
        assert evaluate(recipe) == 2
        one_line(capsys, "out", "another evaluation")
        refused.set()
        assert first.wait(120) == 0
        assert len(server.asked) == 8
        assert evaluate(recipe) == 0
        assert len(server.asked) == 8


def test_a_folder_that_cannot_be_written_is_one_line(write_recipe, capsys):
    with serve(**answering()) as server:
        recipe = write_recipe(server.url)
        Path("out").write_text("a file where the folder should be")
        assert evaluate(recipe) == 2
        one_line(capsys, "out", "run the same command")
        assert not server.asked


@pytest.mark.soak(sample=1)
@pytest.mark.parametrize("room", [1500, 20_000])  # Too little for the manifest; too little for the answers.
def test_a_full_disk_is_one_line_and_costs_nothing(room, write_recipe, capsys):
    with serve(**answering("<answer> 3 </answer>" + " " * 1000)) as server:
        assert evaluate(write_recipe(server.url), "--output_dir", "other") == 0  # Rows are on disk after this.
        limited = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        done = subprocess.run(
            COMMAND,
            env=environment(PYTHONDONTWRITEBYTECODE="1"),
            preexec_fn=limited,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert "run the same command again" in done.stderr
        assert evaluate("eval.yaml") == 0
        assert results()["n"] == 40


def test_the_folder_of_a_run_is_not_an_evaluation_of_it(write_recipe, capsys):
    with serve(**answering()) as server:
        recipe = write_recipe(server.url)
        assert evaluate(recipe) == 0
        manifest = Path("out/open_vr1.json")
        facts = json.loads(manifest.read_text())
        facts["run"]["task"] = "grpo"
        manifest.write_text(json.dumps(facts))
        assert evaluate(recipe) == 2
        one_line(capsys, "eval.yaml", "output_dir", "out/eval")
        assert json.loads(manifest.read_text()) == facts


def test_a_benchmark_that_is_no_longer_asked_leaves_nothing(write_recipe, world):
    with serve(**answering()) as server:
        both = [{"name": "toy", "path": str(world)}, {"name": "other", "path": str(world)}]
        both[1]["columns"] = {"prompt": "question", "solution": "answer"}
        assert evaluate(write_recipe(server.url, benchmarks=both)) == 0
        assert {sample["benchmark"] for sample in read_samples("out")} == {"toy", "other"}
        assert evaluate(write_recipe(server.url)) == 0
    assert {sample["benchmark"] for sample in read_samples("out")} == {"toy"}


def test_results_never_stand_beside_newer_answers(write_recipe, monkeypatch, rows):
    def killed(*words):
        raise KeyboardInterrupt

    with serve(rows) as server:
        assert evaluate(write_recipe(server.url)) == 0
        monkeypatch.setattr("open_vr1.evals.summary.summarise", killed)
        assert evaluate(write_recipe(server.url, seed=9)) == 130
    assert read_samples("out") and not Path("out/results.json").exists() and not Path("out/report.html").exists()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_one_line_and_keeps_what_is_answered(write_recipe, sign):
    with serve(**answering(pause=0.2)) as server:
        write_recipe(server.url)
        process = subprocess.Popen(COMMAND, env=environment(), stderr=subprocess.PIPE, text=True)
        while len(server.asked) < 36:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(sign)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 130, error
        assert len(error.strip().splitlines()) == 1 and "run the same command again" in error
        kept = sum(line.startswith("[") for line in Path("out/replies/00000.jsonl").read_text().splitlines())
        before = len(server.asked)
        assert kept and evaluate("eval.yaml") == 0
        assert len(server.asked) - before == 40 - kept


# ----- The recipe


def test_a_prompt_that_a_benchmark_does_not_have_is_refused_before_anything_is_asked(write_recipe, capsys):
    with serve(**answering()) as server:
        assert evaluate(write_recipe(server.url, prompt_style="official")) == 2
        one_line(capsys, "toy", "prompt_style")
        assert not server.asked


def test_a_key_of_the_judge_that_is_not_there_is_refused_before_anything_is_asked(write_recipe, capsys):
    judge = {"url": "http://127.0.0.1:9/v1", "model": "j", "api_key": "NO_SUCH_KEY"}
    with serve(**answering()) as server:
        assert evaluate(write_recipe(server.url, judge=judge)) == 2
        one_line(capsys, "eval.yaml", "judge.api_key", "NO_SUCH_KEY")
        assert not server.asked


def test_a_column_that_nothing_asks_for_is_refused(write_recipe, picture, capsys):
    with serve(**answering()) as server:
        line = {"prompt": "How many?", "images": [picture], "solution": "3"}
        recipe = own(write_recipe, server.url, [line], entry={"columns": {"answer": "solution"}})
        assert evaluate(recipe) == 2
        one_line(capsys, "eval.yaml", "columns", "answer", "solution")


def test_a_control_is_not_to_be_published(write_recipe, capsys):
    with serve(**answering()) as server:
        assert evaluate(write_recipe(server.url, grey_images=True, push_to_hub=True)) == 2
        one_line(capsys, "eval.yaml", "grey_images", "push_to_hub")
        assert not server.asked


def test_figures_are_shown_also_when_they_cannot_be_published(write_recipe, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with serve(**answering()) as server:
        assert evaluate(write_recipe(server.url, push_to_hub=True)) == 2
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1].startswith("accuracy ")
    assert len(printed.err.strip().splitlines()) == 1


def test_pixels_of_another_endpoint_cannot_be_set(write_recipe, capsys):
    with serve(**answering()) as server:
        assert evaluate(write_recipe(server.url, max_pixels=1000)) == 2
        one_line(capsys, "eval.yaml", "max_pixels", "endpoint")


def test_a_figure_says_how_large_its_pictures_were(tiny, write_recipe):
    keys = {"model_name_or_path": str(tiny), "dtype": "float32", "max_completion_length": 2, "max_questions": 2}
    assert evaluate(write_recipe(max_pixels=3136, **keys)) == 0
    assert results()["benchmarks"][0]["protocol"]["max_pixels"] == 3136


# ----- The rows


def test_pictures_are_found_beside_the_file_that_names_them(write_recipe, capsys):
    Path("data").mkdir()
    for mode, name in (("RGB", "a.png"), ("CMYK", "b.jpg"), ("RGBA", "c.png"), ("P", "d.png")):
        Image.new(mode, (30, 30)).save(f"data/{name}")
    lines = [
        {"prompt": "How many?", "images": ["a.png", "b.jpg"], "solution": "3"},
        {"prompt": "<image> or <image>?", "images": ["c.png", "d.png"], "solution": "4"},
        {"prompt": "1 + 2?", "images": [], "solution": "3"},
        {"prompt": "1 + 3?", "images": None, "solution": "4"},
    ]
    Path("data/mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with serve(**answering()) as server:
        recipe = write_recipe(server.url, benchmarks=[{"name": "mine", "path": "data/mine.jsonl"}])
        assert evaluate(recipe) == 0, capsys.readouterr().err
        sent = [[part["type"] for part in body["messages"][-1]["content"]].count("image_url") for body in server.asked]
    assert sorted(sent) == [0, 0, 2, 2]
    samples = read_samples("out")
    assert [len(sample["pictures"]) for sample in samples] == [2, 2, 0, 0]
    assert [sample["score"] for sample in samples] == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"images": ["gone.png"]}, "gone.png"),
        ({"images": ["broken.png"]}, "broken.png"),
        ({"images": ["half.png"]}, "half.png"),
        ({"solution": None}, "solution"),
        ({"prompt": None}, "prompt"),
    ],
)
def test_a_row_that_cannot_be_asked_is_named_before_anything_is(line, words, write_recipe, picture, capsys):
    Path("broken.png").write_bytes(b"no picture")
    Image.effect_noise((90, 90), 50).save("whole.png")
    Path("half.png").write_bytes(Path("whole.png").read_bytes()[:2000])
    good = {"prompt": "How many?", "images": [picture], "solution": "3"}
    with serve(**answering()) as server:
        assert evaluate(own(write_recipe, server.url, [good, {**good, **line}])) == 2
        one_line(capsys, "mine", "row 1", words)
        assert not server.asked


def test_a_bad_row_of_a_benchmark_is_named_before_anything_is_asked(write_recipe, picture, capsys):
    good = {"id": "a", "image": picture, "question": "How many?", "choices": None, "answer": "3", "kind": "count"}
    Path("toy.jsonl").write_text(json.dumps(good) + "\n" + json.dumps({**good, "answer": None, "id": None}) + "\n")
    with serve(**answering()) as server:
        code = evaluate(write_recipe(server.url, benchmarks=[{"name": "toy", "path": "toy.jsonl", "split": "train"}]))
        assert code == 2
        one_line(capsys, "toy")
        assert not server.asked


def test_numbers_are_answers_choices_and_names_too(write_recipe, picture, capsys):
    lines = [
        {"id": 5 - i, "prompt": "How many?", "images": picture, "solution": 3 + i, "choices": [1, 2], "kind": i % 2}
        for i in range(6)
    ]
    with serve(**answering()) as server:
        assert evaluate(own(write_recipe, server.url, lines)) == 0, capsys.readouterr().err
    assert [sample["id"] for sample in read_samples("out")] == ["5", "4", "3", "2", "1", "0"]


def test_questions_of_one_name_are_questions_of_their_own(write_recipe, picture):
    lines = [{"id": "same", "prompt": f"{i}?", "images": picture, "solution": str(3 + i % 2)} for i in range(40)]
    with serve(**answering()) as server:
        assert evaluate(own(write_recipe, server.url, lines)) == 0
    assert results()["accuracy"] == 0.5 and results()["n"] == 40
    low, high = results()["ci95"]
    assert 0.25 < low < 0.45 and 0.55 < high < 0.75


def test_changed_rows_are_asked_again_and_no_others(write_recipe, picture):
    lines = [{"prompt": f"{i}?", "images": picture, "solution": "3"} for i in range(6)]
    with serve(**answering()) as server:
        assert evaluate(own(write_recipe, server.url, lines)) == 0
        lines[2]["solution"] = "4"
        assert evaluate(own(write_recipe, server.url, lines)) == 0
        assert len(server.asked) == 7
        Image.new("RGB", (30, 30), "blue").save(picture)
        assert evaluate(own(write_recipe, server.url, lines)) == 0
        assert len(server.asked) == 13
    assert [sample["score"] for sample in read_samples("out")] == [1, 1, 0, 1, 1, 1]


# ----- Several processes


@pytest.mark.soak(sample=1)
@pytest.mark.parametrize(("questions", "samples", "processes"), [(5, 3, 2), (1, 2, 2)])
def test_processes_come_to_what_one_comes_to(questions, samples, processes, rows, write_recipe):
    with serve(rows) as server:
        write_recipe(server.url, max_questions=questions, samples=samples)
        assert evaluate("eval.yaml", "--output_dir", "one") == 0
        config = ROOT / "recipes/accelerate_configs/cpu.yaml"
        launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
        launch += ["--num_processes", str(processes)]
        done = subprocess.run(
            [*launch, *COMMAND[1:]], env=environment(), capture_output=True, text=True, check=False, timeout=240
        )
        assert done.returncode == 0, done.stderr[-3000:]
    assert len(list(Path("out/replies").glob("*.jsonl"))) == processes
    assert read_samples("out") == read_samples("one")
    assert results()["accuracy"] == results("one")["accuracy"] and results()["n"] == questions


# ----- The model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The tiny Qwen2.5-VL with random weights."""
    from open_vr1.toy.model import build

    folder = tmp_path_factory.mktemp("tiny") / "model"
    build(folder, seed=0)
    return folder


@pytest.fixture(scope="session")
def adapter(tiny, tmp_path_factory):
    """A LoRA of it that changes what it says, as a trainer saves one."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText, AutoProcessor

    torch.manual_seed(1)
    model = get_peft_model(
        AutoModelForImageTextToText.from_pretrained(tiny),
        LoraConfig(target_modules="all-linear", init_lora_weights=False),
    )
    folder = tmp_path_factory.mktemp("lora") / "checkpoint-4"
    model.save_pretrained(folder)
    AutoProcessor.from_pretrained(tiny).save_pretrained(folder)
    return folder


KEYS = {"dtype": "float32", "max_completion_length": 12, "max_questions": 6, "temperature": 0.0}


def said(model, write_recipe, out, **keys):
    assert evaluate(write_recipe(model_name_or_path=str(model), output_dir=out, **{**KEYS, **keys})) == 0
    return [sample["completion"] for sample in read_samples(out)]


def test_an_adapter_answers_as_itself(tiny, adapter, write_recipe):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    merged = PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(tiny), adapter).merge_and_unload()
    merged.save_pretrained("merged")
    for file in adapter.iterdir():
        if not file.name.startswith("adapter"):
            Path("merged", file.name).write_bytes(file.read_bytes())
    assert torch.is_tensor(merged.lm_head.weight)
    answers = said(adapter, write_recipe, "out")
    assert answers == said("merged", write_recipe, "whole")
    assert answers != said(tiny, write_recipe, "base")


def test_vllm_is_not_given_an_adapter(adapter, write_recipe, capsys, monkeypatch):
    monkeypatch.setattr("open_vr1.evals.engines.find_spec", lambda name: True)
    assert evaluate(write_recipe(model_name_or_path=str(adapter), engine="vllm")) == 2
    one_line(capsys, "engine", "adapter")


def test_nothing_but_the_recipe_says_how_tokens_are_drawn(tiny, write_recipe, tmp_path):
    """A model's own generation_config may hold a penalty that no result would tell of."""
    import shutil

    shutil.copytree(tiny, "other")
    place = Path("other/generation_config.json")
    own = json.loads(place.read_text()) if place.exists() else {}
    place.write_text(json.dumps({**own, "repetition_penalty": 1.8, "no_repeat_ngram_size": 1}))
    assert said("other", write_recipe, "out") == said(tiny, write_recipe, "plain")


def test_another_precision_is_another_answer(tiny, write_recipe):
    said(tiny, write_recipe, "out")
    lines = Path("out/replies/00000.jsonl").read_text().count("\n")
    said(tiny, write_recipe, "out", dtype="bfloat16")
    assert Path("out/replies/00000.jsonl").read_text().count("\n") > lines


def test_an_adapter_on_the_hub_is_that_of_its_revision(hub, tiny, adapter, write_recipe):
    """The base has no such revision, and the repository no `config.json`."""
    import shutil

    api = hub.api()
    api.create_repo("open-vr1/base")
    api.upload_folder(repo_id="open-vr1/base", folder_path=tiny)
    api.create_repo("open-vr1/lora")
    api.create_branch("open-vr1/lora", branch="main-step-000000004")
    shutil.copytree(adapter, "published")
    place = Path("published/adapter_config.json")
    place.write_text(json.dumps({**json.loads(place.read_text()), "base_model_name_or_path": "open-vr1/base"}))
    api.upload_folder(repo_id="open-vr1/lora", folder_path="published", revision="main-step-000000004")
    there = said("open-vr1/lora", write_recipe, "hub", model_revision="main-step-000000004")
    assert there == said(adapter, write_recipe, "here")


def test_a_finished_evaluation_needs_no_server(rows, write_recipe):
    with serve(rows) as server:
        recipe = write_recipe(server.url)
        assert evaluate(recipe) == 0
    before = results()
    assert evaluate(recipe) == 0
    assert results() == before
