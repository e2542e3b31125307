"""What ZeroGPU takes from one process to another arrives there, and what it says to a visitor is shown."""

import pickle

import gradio as gr
import pytest

from asking import Question, check_picture
from engine import Progress
from examples import EXAMPLES
from settings import Checkpoint


@pytest.fixture
def app(monkeypatch):
    monkeypatch.setenv("CHECKPOINTS", '[{"label": "a", "model": "you/a"}]')
    import app

    return app


def test_questions_checkpoints_and_replies_arrive_in_another_process_as_they_were():
    checkpoint = Checkpoint("a", "you/a", "stage-1")
    picture = check_picture(EXAMPLES[0].picture)
    progress = Progress("<think>", 1, 1, 0.5)
    sent = {checkpoint: "loaded"}, Question("How many?", picture), progress
    shelf, question, arrived = pickle.loads(pickle.dumps(sent))
    assert checkpoint in shelf and arrived == progress
    assert question.text == "How many?" and question.picture.tobytes() == picture.tobytes()


def test_a_refusal_of_zerogpu_reaches_the_visitor_with_what_it_is_about(app, monkeypatch):
    def refuse(*_):
        raise gr.Error("90s requested vs. 41s left.", title="ZeroGPU quota exceeded")
        yield

    monkeypatch.setattr(app, "answer_in_turn", refuse)
    column = app.page.columns[0]
    ((updates, progress),) = app.ask_one(column, None, 10, 0.0, "visitor")
    assert "ZeroGPU quota exceeded: 90s requested vs. 41s left." in updates[column.line] and progress is None
