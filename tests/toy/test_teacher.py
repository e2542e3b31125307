"""The scripted teacher: it answers right from what it is told, and goes wrong exactly where it says that it does."""

import asyncio
import base64
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from open_vr1.prompts import question_text
from open_vr1.toy import world
from open_vr1.toy.cold_source import build, rows_and_faults
from open_vr1.toy.mistakes import SLOT, bad_reply, templates
from open_vr1.toy.sight import describe, facts_in, look
from open_vr1.toy.teacher import BadRequest, Teacher, planted
from open_vr1.toy.teacher_server import FAULTS, FAULTS_IN_A_ROW, TeacherServer, is_poisoned, serve

MISTAKES = {"wrong_answer": 0.1, "format": 0.05, "truncated": 0.05, "refusal": 0.1, "leakage": 0.1, "language": 0.05}
KINDS = {"wrong_answer", "format", "truncated", "refusal", "contradiction", "self_doubt", "leakage", "repetition"}
KINDS |= {"language", "wording"}


@pytest.fixture(scope="module")
def rows():
    return list(world.rows("train", 400, seed=3))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source")
    build(path, seed=3, rows=400)
    return path / "rows.parquet"


@pytest.fixture(scope="module")
def distinct(rows):
    """The first row of each that show the same picture and ask the same."""
    firsts = {}
    for row in rows:
        firsts.setdefault((row["images"][0]["bytes"], row["question"], tuple(row["choices"])), row)
    return list(firsts.values())


def asked(row):
    return question_text(row["question"], row["choices"])


def about_picture(row, text):
    url = f"data:image/png;base64,{base64.b64encode(row['images'][0]['bytes']).decode()}"
    picture = {"type": "image_url", "image_url": {"url": url}}
    return {
        "model": "toy-vision",
        "messages": [{"role": "user", "content": [picture, {"type": "text", "text": text}]}],
    }


def about_text(row, description, **options):
    text = f"Image description:\n{description}\n\nQuestion: {asked(row)}\nThink step by step."
    return {"model": "toy-reasoner", "messages": [{"role": "user", "content": text}], **options}


def bridge(teacher, row, **options):
    """The three requests about a row as a pipeline sends them; the replies to the last one."""
    thought = teacher.answer(about_picture(row, f"{asked(row)}\nThe answer is {row['answer']}."))
    aloud = thought.replies[0].text
    described = teacher.answer(about_picture(row, f"A question: {asked(row)} and a thinking process: {aloud}"))
    assert (thought.step, described.step) == ("think", "describe")
    return teacher.answer(about_text(row, described.replies[0].text, **options)).replies


def post(url, body, **headers):
    """Status, headers and text of the reply to one request."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.headers, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def get(url):
    with urllib.request.urlopen(url, timeout=10) as reply:
        return json.load(reply)


# ----- What it knows


def test_a_description_tells_everything_that_is_in_a_picture(rows):
    for row in rows:
        facts = look(row["images"][0]["bytes"])
        assert facts_in(f"Of (3, 4): {describe(facts)} How many from (1, 2)?") == facts


def test_no_two_pictures_have_one_description(rows):
    pictures = {row["images"][0]["bytes"] for row in rows}
    assert len({describe(look(picture)) for picture in pictures}) == len(pictures)


def test_the_reasoner_thinks_the_rows_own_chain_and_answers_right(rows, distinct):
    teacher = Teacher(rows)
    for row in distinct:
        [reply] = bridge(teacher, row)
        assert reply.thinking == row["thinking"]
        assert reply.text.endswith(f"Final Answer: {row['answer']}")
        assert (reply.finish, reply.kind) == ("stop", None)


def test_the_description_is_enough_for_a_teacher_that_never_saw_the_request_before(rows, distinct):
    before, after = Teacher(rows), Teacher(rows)
    for row in distinct[:40]:
        description = (
            before.answer(about_picture(row, f"Provide a detailed description. {asked(row)}")).replies[0].text
        )
        [reply] = after.answer(about_text(row, description)).replies
        assert reply.thinking == row["thinking"]


def test_a_description_names_no_row_and_no_answer(rows):
    teacher = Teacher(rows)
    for row in rows[:100]:
        text = teacher.answer(about_picture(row, f"Provide a detailed description. {asked(row)}")).replies[0].text
        assert row["id"] not in text and row["question"] not in text and "nswer" not in text


def test_choices_lettered_in_another_way_are_told_apart(rows):
    row = next(row for row in rows if row["choices"])
    others = [{**row, "id": "open", "choices": []}, {**row, "id": "more", "choices": [*row["choices"], "7"]}]
    teacher = Teacher([*others, row])
    text = row["question"] + "".join(f"\n({'ABCD'[i]}) {choice}" for i, choice in enumerate(row["choices"]))
    assert teacher.answer(about_picture(row, text)).row_id == row["id"]
    assert teacher.answer(about_picture(row, row["question"])).row_id == "open"


def test_what_it_cannot_know_it_does_not_answer(rows):
    teacher = Teacher(rows[:10])
    with pytest.raises(BadRequest, match="none of the"):
        teacher.answer(about_picture(rows[300], asked(rows[300])))
    with pytest.raises(BadRequest, match="no question that I know"):
        teacher.answer(about_picture(rows[0], "What is the meaning of this?"))
    with pytest.raises(BadRequest, match="neither a picture nor"):
        teacher.answer(about_text(rows[0], "Some shapes on a white ground."))


def test_of_a_source_with_faulty_rows_it_answers_what_can_be_answered():
    shares = dict.fromkeys(("duplicates", "near_duplicates", "missing_pictures", "corrupt_pictures", "no_answer"), 0.1)
    made = list(rows_and_faults(3, 100, **shares))
    teacher = Teacher([row for row, _ in made])
    for row, fault in made:
        if fault == "corrupt_pictures":
            with pytest.raises(BadRequest, match="cannot be decoded"):
                teacher.answer(about_picture(row, asked(row)))
        elif fault != "missing_pictures":
            assert bridge(teacher, row)[0].kind is None


# ----- Mistakes


def test_planted_says_what_is_served(rows, distinct):
    teacher = Teacher(rows, seed=5, mistakes=MISTAKES)
    truth = {(row_id, sample): kind for row_id, sample, kind in planted(rows, 5, MISTAKES, samples=3)}
    served = {
        (row["id"], sample): reply.kind for row in distinct for sample, reply in enumerate(bridge(teacher, row, n=3))
    }
    assert served == {key: truth[key] for key in served}
    good = [row for row in distinct if truth[row["id"], 0] is None]
    assert all(bridge(teacher, row)[0] == bridge(Teacher(rows), row)[0] for row in good)


def test_mistakes_come_at_their_rates_and_differ_between_samples(rows):
    kinds = [kind for _, _, kind in planted(rows, 5, MISTAKES, samples=10)]
    for kind, rate in MISTAKES.items():
        assert abs(kinds.count(kind) / len(kinds) - rate) < 0.02
    by_row = [kinds[i : i + 10] for i in range(0, len(kinds), 10)]
    assert sum(len(set(of_row)) > 1 for of_row in by_row) > 0.9 * len(rows)


def test_the_seed_of_a_request_is_the_number_of_its_first_sample(rows):
    teacher = Teacher(rows, seed=5, mistakes=MISTAKES)
    four = bridge(teacher, rows[0], n=4)
    assert four == [bridge(teacher, rows[0], seed=sample)[0] for sample in range(4)]
    assert [kind for _, _, kind in planted(rows[:1], 5, MISTAKES, samples=[2])] == [four[2].kind]


def test_a_row_whose_own_chain_is_wrong_counts_as_a_mistake():
    wrong = list(world.rows("train", 100, seed=3, wrong=0.3))
    kinds = {row_id: kind for row_id, _, kind in planted(wrong, 0, {})}
    for row in wrong:
        [reply] = bridge(Teacher([row]), row)
        assert reply.thinking == row["thinking"] and (reply.kind == "wrong_answer") == (row["answer"] != row["stated"])
        assert reply.text.endswith(f"Final Answer: {row['stated']}") and kinds[row["id"]] in (None, "wrong_answer")


def test_every_kind_has_templates_to_develop_with_and_as_many_to_measure_with():
    assert set(templates()) == KINDS
    for kind, entries in templates().items():
        assert 6 <= len(entries) <= 12, kind
        assert sum(entry["measure"] for entry in entries) * 2 == len(entries), kind


def test_every_template_can_be_filled(rows):
    row = next(row for row in rows if row["choices"])
    for entries in templates().values():
        for entry in entries:
            assert set(entry) <= {"thinking", "reply", "finish", "cut", "loop", "times", "measure"}
            left = SLOT.sub("", " ".join(str(entry.get(field, "")) for field in ("thinking", "reply", "loop")))
            assert "{" not in left.replace("\\boxed{}", ""), entry
    for kind in templates():
        for draw in range(30):
            reply = bad_reply(row, kind, random.Random(draw))
            assert not SLOT.search(reply.thinking + reply.text)


@pytest.mark.parametrize("measure", [True, False])
def test_templates_can_be_kept_back_to_measure_with(rows, measure):
    kept = {entry["thinking"] for entry in templates()["refusal"] if entry["measure"] == measure}
    teacher = Teacher(rows, mistakes={"refusal": 1.0}, measure=measure)
    thoughts = [teacher.reason(row, 0).thinking for row in rows[:60]]
    assert all(
        any(thought in (text, text.replace("{question}", row["question"])) for text in kept)
        for row, thought in zip(rows, thoughts, strict=False)
    )


def test_wrong_rates_are_refused():
    with pytest.raises(ValueError, match="laziness is none of"):
        Teacher([], mistakes={"laziness": 0.1})
    with pytest.raises(ValueError, match="not shares"):
        Teacher([], mistakes={"refusal": 0.7, "format": 0.7})
    with pytest.raises(ValueError, match="418 is none of"):
        TeacherServer(Teacher([]), faults={418: 0.1})


# ----- The server


def test_the_same_request_gets_the_same_answer_also_from_another_server(source, rows):
    bodies = [about_text(row, describe(look(row["images"][0]["bytes"])), n=2) for row in rows[:5]]
    replies = []
    for _ in range(2):
        with serve(source, seed=5, mistakes=MISTAKES) as url:
            replies += [[post(f"{url}/chat/completions", body)[2] for body in bodies] for _ in range(2)]
            assert set(get(f"{url}/log")["requests"].values()) == {2}
            assert get(f"{url}/log")["steps"] == {"reason": 10}
    assert all(reply == replies[0] for reply in replies)
    first = json.loads(replies[0][0])
    assert [choice["index"] for choice in first["choices"]] == [0, 1]
    assert first["usage"]["total_tokens"] == first["usage"]["prompt_tokens"] + first["usage"]["completion_tokens"]


def test_what_is_wrong_with_a_request_is_said_as_openai_says_it(source, rows):
    with serve(source, api_key="secret", models=["mine"]) as url:
        body = {**about_picture(rows[0], asked(rows[0])), "model": "mine"}
        chat, key = f"{url}/chat/completions", {"Authorization": "Bearer secret"}
        assert post(chat, body)[0] == post(chat, body, Authorization="Bearer guess")[0] == 401
        assert post(chat, body, **key)[0] == 200
        assert post(chat, {**body, "model": "other"}, **key)[0] == 404
        assert post(f"{url}/embeddings", body, **key)[0] == 404
        assert post(chat, b"{", **key)[0] == post(chat, {**body, "messages": [{}]}, **key)[0] == 400
        assert post(chat, {**body, "messages": 7}, **key)[0] == 400
        assert post(chat, {**body, "stream": True}, **key)[0] == 400
        text = post(chat, {**body, "model": "other"}, **key)[2]
        assert json.loads(text)["error"]["code"] == "model_not_found"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            get(f"{url}/models")


def test_the_chain_is_where_the_server_is_told_to_put_it(source, rows):
    row, description = rows[0], describe(look(rows[0]["images"][0]["bytes"]))
    for reasoning in ("reasoning_content", "reasoning"):
        with serve(source, reasoning=reasoning) as url:
            message = json.loads(post(f"{url}/chat/completions", about_text(row, description))[2])["choices"][0][
                "message"
            ]
            assert message[reasoning] == row["thinking"] and "think" not in message["content"]
            assert [model["id"] for model in get(f"{url}/models")["data"]] == ["toy-vision", "toy-reasoner"]
    with serve(source, reasoning="tags") as url:
        message = json.loads(post(f"{url}/chat/completions", about_text(row, description))[2])["choices"][0]["message"]
        assert message["content"].startswith(f"<think>\n{row['thinking']}\n</think>\n\n") and len(message) == 2


async def attempt(session, url, body):
    """What comes back for one attempt, as the name of a fault or of nothing wrong."""
    try:
        async with session.post(url, json=body) as reply:
            text = await reply.text()
            if reply.status != 200:
                wait = reply.headers.get("Retry-After")
                if wait and not wait.isdigit():
                    parsedate_to_datetime(wait)
                    return f"{reply.status}_date"
                assert (wait is not None) == (reply.status == 429)
                return str(reply.status)
            if reply.content_type == "text/html":
                return "html"
    except aiohttp.ClientPayloadError:
        return "closed"
    except aiohttp.ServerDisconnectedError:
        return "hang"  # that long, until the server gave up
    try:
        answer = json.loads(text)
    except ValueError:
        return "truncated_json"
    if "choices" not in answer:
        return "no_choices"
    return "fine" if answer["choices"][0]["message"]["content"] else "empty_content"


async def attempts(url, bodies, count):
    """What comes back for each of `count` attempts in a row at each body."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def insist(body):
            return [await attempt(session, f"{url}/chat/completions", body) for _ in range(count)]

        seen = []
        for i in range(0, len(bodies), 50):
            seen += await asyncio.gather(*map(insist, bodies[i : i + 50]))
        return seen


def test_every_fault_comes_at_its_rate_and_never_too_often_in_a_row(source, rows):
    rate = 0.04
    bodies = [about_picture(row, f"{asked(row)} ({i})") for i, row in enumerate(rows)]
    with serve(source, faults=dict.fromkeys(FAULTS, rate), hang_seconds=0.1) as url:
        seen = asyncio.run(attempts(url, bodies, FAULTS_IN_A_ROW + 1))
        log = get(f"{url}/log")
    assert {of_body[-1] for of_body in seen} == {"fine"}
    drawn = Counter(result for of_body in seen for result in of_body[:-1])
    for fault in FAULTS:
        assert abs(drawn[fault] / sum(drawn.values()) - rate) < 0.025, fault
        assert log["faults"][fault] == drawn[fault]
    assert set(drawn) == {*FAULTS, "fine"}


def test_a_request_that_hangs_gets_nothing_until_the_client_gives_up(source, rows):
    data = json.dumps(about_picture(rows[0], asked(rows[0]))).encode()
    with serve(source, faults={"hang": 1.0}) as url:
        with pytest.raises(TimeoutError):
            urllib.request.urlopen(f"{url}/chat/completions", data=data, timeout=0.5)
        assert get(f"{url}/log")["faults"] == {"hang": 1}


def test_a_poisoned_row_always_fails_and_no_other_does(source, rows, distinct):
    bodies = [about_picture(row, asked(row)) for row in distinct[:100]]
    with serve(source, seed=2, faults={"poison": 0.1}) as url:
        seen = asyncio.run(attempts(url, bodies, 5))
    poisoned = [is_poisoned(row["id"], 2, 0.1) for row in distinct[:100]]
    assert 2 < sum(poisoned) < 25
    assert [set(of_body) for of_body in seen] == [{"500"} if is_bad else {"fine"} for is_bad in poisoned]


def test_a_teacher_that_cannot_start_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="no-such-file"), serve(tmp_path / "no-such-file.parquet"):
        pass


def is_running(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    # A child that nobody has waited for yet is no more running than one that is gone.
    with open(f"/proc/{process_id}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


def test_the_teacher_ends_with_its_parent_however_that_ends(source):
    program = (
        "import subprocess, sys, time\n"
        "from open_vr1.toy.teacher_server import serve\n"
        "spawn = subprocess.Popen.__init__\n"
        "def noted(self, *args, **kwargs):\n"
        "    spawn(self, *args, **kwargs)\n"
        "    print(self.pid, flush=True)\n"
        "subprocess.Popen.__init__ = noted\n"
        f"with serve({str(source)!r}) as url:\n"
        "    print(url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=env) as parent:
        child = int(parent.stdout.readline())
        assert get(f"{parent.stdout.readline().strip()}/models")["data"] and is_running(child)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)


def test_the_teacher_ends_with_its_block(source):
    with serve(source) as url:
        assert get(f"{url}/models")["data"]
    with pytest.raises(urllib.error.URLError):
        get(f"{url}/models")
