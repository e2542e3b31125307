"""The Space in a real browser on real tiny models, as visitors use it: mouse, keyboard, phone, bad inputs, two at a time."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from itertools import pairwise
from pathlib import Path

import pytest
import tripwire
from PIL import Image

from examples import EXAMPLES
from open_vr1.toy.world import rows
from tests.space.conftest import HOSTILE, SPACE

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium, chromium-browser or google-chrome")

DONE = "window.begun && !document.querySelector('.busy') && document.querySelector('#stop').disabled"
# What gradio's own client says whenever it closes the stream of an upload's progress.
UPLOADED = "Method not implemented."
# A short reply is over before anyone has looked.
WATCH_STOP = """() => {
  const stop = document.querySelector('#stop');
  window.begun = false;
  new MutationObserver(() => { window.begun ||= !stop.disabled }).observe(stop, {attributes: true});
}"""
# Every text that a part of the page has had, in order.
WATCH = """selector => {
  window.seen = [];
  const look = () => {
    const text = [...document.querySelectorAll(selector)].map(part => part.innerText).join('|');
    if (text !== window.seen.at(-1)) window.seen.push(text);
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""

# Texts whose contrast is below 4.5, which WCAG asks for; what cannot be pressed is exempt.
FAINT = """() => {
  const pixel = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    pixel.clearRect(0, 0, 1, 1);
    pixel.fillStyle = colour;
    pixel.fillRect(0, 0, 1, 1);
    return [...pixel.getImageData(0, 0, 1, 1).data].map(part => part / 255);
  };
  const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3]));
  const ground = part => {
    const colour = part ? rgba(getComputedStyle(part).backgroundColor) : [1, 1, 1, 1];
    return colour[3] === 1 ? colour : over(colour, ground(part.parentElement));
  };
  const light = colour => [0.2126, 0.7152, 0.0722].reduce((sum, share, i) =>
    sum + share * (colour[i] <= 0.04045 ? colour[i] / 12.92 : ((colour[i] + 0.055) / 1.055) ** 2.4), 0);
  const faint = {};
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const [text, part] = [texts.currentNode.textContent.trim(), texts.currentNode.parentElement];
    if (!text || part.closest(':disabled') || !part.checkVisibility({checkVisibilityCSS: true})) continue;
    const under = ground(part), shown = over(rgba(getComputedStyle(part).color), under);
    const [low, high] = [light(under), light(shown)].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) faint[text] = contrast;
  }
  return faint;
}"""


@pytest.fixture(scope="module")
def space(checkpoints, tmp_path_factory):
    """The address of a running Space, whose process may reach nothing but this machine."""
    folder = tmp_path_factory.mktemp("space")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    entries = [{"label": name, "model": str(checkpoints / name)} for name in ("base", "short", "long")]
    env = os.environ | {
        "CHECKPOINTS": json.dumps(entries),
        "MAX_NEW_TOKENS": "3000",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(folder / "files"),
        "PYTHONPATH": str(Path(tripwire.__file__).parent),
        tripwire.LOG_VARIABLE: str(folder / "network"),
    }
    address = f"http://127.0.0.1:{port}/"
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([sys.executable, SPACE / "app.py"], cwd=folder, env=env, stdout=log, stderr=log)
    try:
        wait_for(address, server, folder / "log")
        yield address
        log = (folder / "log").read_text()
        assert "Traceback" not in log and "Error" not in log, log
        assert not (folder / "network").exists(), (folder / "network").read_text()
    finally:
        server.terminate()
        server.wait(20)


def wait_for(address, server, log):
    for _ in range(600):
        try:
            return urllib.request.urlopen(address, timeout=5)
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)
    pytest.fail(log.read_text())


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, space):
    """Opens the Space as a new visitor; at the end no page may have complained or asked another host for anything."""
    complaints, contexts = [], []

    def open_page(width=1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if is_complaint(message) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if is_foreign(request.url) else None)
        page.on("response", lambda answer: complaints.append(answer.url) if answer.status >= 400 else None)
        page.goto(space)
        page.wait_for_selector("#ask")
        return page

    def is_complaint(message):
        return message.type != "log" and (message.type, message.text) != ("warning", UPLOADED)

    def is_foreign(url):
        return not url.startswith((space, "data:", "blob:"))

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture(scope="module")
def answers():
    world = {row["id"]: row["answer"] for row in rows("test", 51, seed=1)}
    return [world[example.id] for example in EXAMPLES]


def take_example(page, number):
    page.get_by_role("button", name=EXAMPLES[number].label).click()
    page.wait_for_function(
        "text => document.querySelector('#question textarea').value === text", arg=EXAMPLES[number].question
    )
    page.wait_for_selector(".image-frame img")


def ask(page, key=None):
    page.evaluate(WATCH_STOP)
    page.keyboard.press(key) if key else page.click("#ask")
    page.wait_for_function(DONE)


def set_longest(page, tokens):
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("number input for Longest reply in tokens").fill(str(tokens))
    page.keyboard.press("Tab")


def shown(page, part):
    return [text.strip() for text in page.locator(f"{part}:visible").all_inner_texts()]


def test_the_thinking_streams_before_the_answer_and_tokens_and_time_are_told(visit, answers):
    page = visit()
    take_example(page, 0)
    page.evaluate(WATCH, ".block.thinking .md, .block.answer .md")
    ask(page)
    seen = [text.split("|") for text in page.evaluate("window.seen")]
    thoughts = [thinking.strip() for *_, thinking, answer in seen if thinking.strip() and not answer.strip()]
    assert len(set(thoughts)) > 1 and all(later.startswith(earlier[:-1]) for earlier, later in pairwise(thoughts))
    assert shown(page, ".block.answer .md") == [answers[0]]
    page.wait_for_selector(".block.thinking .katex")  # Its code is fetched when the first formula is there.
    assert page.locator(".block.thinking .katex").count() == 1 and not page.locator(".block.thinking img").count()
    assert HOSTILE in shown(page, ".block.thinking .md")[0]
    assert re.fullmatch(
        r"\d+\stokens\sof\sthinking, \d+\sin\sall, [\d.]+\ss, \d+\stokens/s", shown(page, ".status")[0]
    )
    assert shown(page, ".reply h3") == ["long"]
    fold = page.get_by_role("button", name="Thinking")
    fold.click()
    page.wait_for_function("!document.querySelector('.block.thinking').offsetHeight")


def test_checkpoints_answer_side_by_side_and_their_thinking_is_compared(visit, answers):
    page = visit()
    take_example(page, 1)
    before = page.locator("#question").bounding_box()
    page.get_by_role("checkbox", name="short").check()
    ask(page)
    assert page.locator("#question").bounding_box() == before
    assert shown(page, ".reply h3") == ["short", "long"] and shown(page, ".block.answer .md") == [answers[1]] * 2
    first, second = (page.locator(".column.reply:visible").nth(i).bounding_box() for i in (0, 1))
    assert first["y"] == second["y"] and first["x"] + first["width"] <= second["x"]
    lengths = [int(text.split()[0]) for text in shown(page, ".bars b")]
    assert lengths == [int(text.split()[0]) for text in shown(page, ".status")] and lengths[0] < lengths[1]
    page.get_by_role("checkbox", name="long").uncheck()
    ask(page)
    assert shown(page, ".reply h3") == ["short"] and not shown(page, ".bars")


def test_a_reply_without_format_is_shown_as_it_is(visit):
    page = visit()
    take_example(page, 0)
    page.get_by_role("checkbox", name="base").check()
    page.get_by_role("checkbox", name="long").uncheck()
    set_longest(page, 40)
    ask(page)
    assert shown(page, ".block.thinking .md")[0] and not shown(page, ".block.answer")
    assert shown(page, ".reply .problem") == ["No answer: cut off at 40 tokens."]


def test_a_reply_that_is_cut_off_says_where(visit):
    page = visit()
    take_example(page, 0)
    set_longest(page, 7)
    ask(page)
    assert shown(page, ".reply .problem") == ["No answer: cut off at 7 tokens."]


@pytest.mark.parametrize("colour_scheme", ["light", "dark"])
def test_all_of_it_fits_on_a_phone(visit, colour_scheme):
    page = visit(width=400, color_scheme=colour_scheme)
    take_example(page, 2)
    page.get_by_role("checkbox", name="short").check()
    ask(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    first, second = (page.locator(".column.reply:visible").nth(i).bounding_box() for i in (0, 1))
    assert first["y"] + first["height"] <= second["y"] and first["width"] > 300


def test_on_a_phone_the_reply_comes_into_view_once_and_stop_is_confirmed_at_once(visit):
    page = visit(width=400)
    take_example(page, 0)
    page.get_by_role("checkbox", name="base").check()
    page.get_by_role("checkbox", name="long").uncheck()
    page.evaluate(WATCH_STOP)
    page.click("#ask")
    page.wait_for_selector(".block.thinking .md > *")
    window, line = page.evaluate("innerHeight"), page.locator(".reply .status:visible").bounding_box()
    assert page.evaluate("scrollY") > 0 and 0 <= line["y"] < window
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(300)
    assert page.evaluate("scrollY") == 0
    page.click("#stop")
    page.wait_for_function(DONE)
    assert page.evaluate("scrollY") < window and shown(page, ".reply .problem") == ["No answer: stopped."]


@pytest.mark.parametrize("colour_scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(visit, colour_scheme):
    page = visit(color_scheme=colour_scheme)
    page.get_by_role("button", name="Settings").click()
    page.click("#ask")
    page.wait_for_selector(".problem")
    page.mouse.move(1, 1)
    page.wait_for_function(f"!Object.keys(({FAINT})()).length", timeout=3000)
    take_example(page, 0)
    ask(page)
    page.mouse.move(1, 1)
    page.wait_for_function(f"!Object.keys(({FAINT})()).length", timeout=3000)


def test_the_keyboard_is_enough(visit, answers):
    page = visit()
    focused = "(part => part.id || part.innerText || part.name || part.tagName)(document.activeElement)"

    def tab_to(name):
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate(focused).startswith(name):
                assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
                return
        pytest.fail(f"Tab does not reach {name}")

    tab_to(EXAMPLES[0].label)
    page.keyboard.press("Enter")
    page.wait_for_selector(".image-frame img")
    page.get_by_label("Question").focus()
    ask(page, key="Enter")
    assert shown(page, ".block.answer .md") == [answers[0]]
    page.evaluate("document.activeElement.blur()")
    tab_to("ask")
    tab_to("Thinking")


def test_every_bad_input_gets_a_sentence_beside_it_and_nothing_is_lost(visit, tmp_path):
    page = visit()
    page.click("#ask")
    page.wait_for_selector(".problem")
    assert len(shown(page, ".problem")) == 2 and shown(page, ".problem")[1] == "Write a question about the picture."
    page.get_by_label("Question").fill("How many?")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    Image.new("1", (8000, 6000)).save(tmp_path / "huge.png")
    (tmp_path / "heavy.png").write_bytes(bytes(12_000_000))
    for name, why in (("broken", "cannot be read"), ("huge", "48 megapixels, and at most 40"), ("heavy", "12 MB")):
        upload(page, tmp_path / f"{name}.png")
        page.wait_for_function("why => document.querySelector('.problem')?.innerText.includes(why)", arg=why)
        page.get_by_label("Remove Image").click()
    assert page.get_by_label("Question").input_value() == "How many?"
    upload(page, EXAMPLES[0].picture)
    page.wait_for_function("!document.querySelector('.problem')")
    for question, why in (("a" * 2001, "2001 characters, and at most 2000"), ("<|im_end|>", "the model's own")):
        page.get_by_label("Question").fill(question)
        page.click("#ask")
        page.wait_for_function("why => document.querySelector('.problem')?.innerText.includes(why)", arg=why)
    page.get_by_label("Question").fill("How many?")
    page.get_by_role("checkbox", name="long").uncheck()
    page.click("#ask")
    page.wait_for_function("document.querySelector('.problem')?.innerText === 'Tick at least one checkpoint.'")
    page.get_by_role("checkbox", name="long").check()
    ask(page)
    assert shown(page, ".status") and not shown(page, ".problem")[1:]


def upload(page, path):
    page.wait_for_selector("input[type=file]", state="attached")
    page.set_input_files("input[type=file]", path)


def test_two_visitors_at_once_each_get_their_own_answers(visit, answers):
    pages = [visit(), visit()]
    for number, page in enumerate(pages):
        take_example(page, number)
        page.get_by_role("checkbox", name="short").check()
    for page in pages:
        page.evaluate(WATCH_STOP)
        page.click("#ask")
    for number, page in enumerate(pages):
        page.wait_for_function(DONE)
        assert shown(page, ".block.answer .md") == [answers[number]] * 2


def test_stop_ends_the_reply_and_the_next_visitor_is_not_kept_waiting(visit, answers):
    page, other = visit(), visit()
    take_example(page, 0)
    page.get_by_role("checkbox", name="base").check()
    page.get_by_role("checkbox", name="long").uncheck()
    page.evaluate(WATCH_STOP)
    page.click("#ask")
    page.wait_for_selector(".block.thinking .md > *")
    page.click("#stop")
    page.wait_for_function(DONE)
    assert shown(page, ".reply .problem") == ["No answer: stopped."]
    take_example(other, 1)
    ask(other)
    assert shown(other, ".block.answer .md") == [answers[1]]
