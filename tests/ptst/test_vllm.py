"""Pictures in vLLM, on stand-ins that get wrong what vLLM 0.31 gets wrong when it is driven as TRL 1.16 drives it."""

from types import SimpleNamespace

import pytest
from transformers import AutoProcessor
from trl.generation import vllm_generation
from trl.generation.vllm_generation import VLLMGeneration

from open_vr1.errors import UserError
from open_vr1.ptst import vllm
from open_vr1.recipe import read_recipe

from .runs import make_trainer

STAGES = [
    {"max_completion_length": 3, "num_generations": 4, "steps": 4},
    {"max_completion_length": 6, "num_generations": 2, "steps": 4},
]
TOKENS_PER_PICTURE = 4  # 56 x 56 pixels


class StandIn:
    """What both engines have in common: prompts to expand, a cache of what the tower saw, and a policy to sample from."""

    def __init__(self, image_token):
        self.image_token = image_token
        self.tower = None
        self.seen = {}
        self.stale = 0
        self.asked = []
        self.completed = 0

    def load_weights(self, named_params):
        for name, param in named_params:
            if name.endswith("visual.patch_embed.proj.weight"):
                self.tower = param.sum().item()

    def look(self, picture):
        key = picture.tobytes()
        self.stale += self.seen.setdefault(key, self.tower) != self.tower

    def complete(self, max_tokens, logit_bias):
        """Another completion each time, or the group would have nothing to learn from."""
        self.completed += 1
        first = 65 if logit_bias.get(self.image_token, 0) <= -100 else self.image_token
        return [first] + [66 + self.completed % 20] * (max_tokens - 1)


class Engine(StandIn):
    """Plays `vllm.LLM`: replaces one image token for each picture by as many as the picture takes."""

    made = None

    def __init__(self, image_token, **config):
        super().__init__(image_token)
        runner = SimpleNamespace(model=self)
        executor = SimpleNamespace(driver_worker=SimpleNamespace(model_runner=runner))
        self.llm_engine = SimpleNamespace(model_executor=executor, reset_encoder_cache=self.seen.clear)
        Engine.made = self

    def reset_prefix_cache(self):
        pass

    def generate(self, prompts, sampling_params, use_tqdm):
        outputs = []
        for prompt in prompts:
            pictures = prompt["multi_modal_data"]["image"]
            pictures = pictures if isinstance(pictures, list) else [pictures]
            ids, start = list(prompt["prompt_token_ids"]), 0
            for picture in pictures:
                self.look(picture)
                at = ids.index(self.image_token, start)
                ids[at : at + 1] = [self.image_token] * TOKENS_PER_PICTURE
                start = at + TOKENS_PER_PICTURE
            self.asked.append((prompt["prompt_token_ids"].count(self.image_token), sampling_params.max_tokens))
            completion = self.complete(sampling_params.max_tokens, getattr(sampling_params, "logit_bias", {}))
            logprobs = [{token: SimpleNamespace(rank=1, logprob=-1.0)} for token in completion]
            output = SimpleNamespace(token_ids=completion, logprobs=logprobs)
            outputs.append(SimpleNamespace(prompt_token_ids=ids, outputs=[output]))
        return outputs


class Client(StandIn):
    """Plays TRL's `VLLMClient`, and the server behind it."""

    made = None
    base_url = "http://stand-in"

    def __init__(self, image_token, **config):
        super().__init__(image_token)
        self.session = SimpleNamespace(post=self.post)
        self.status = 200
        Client.made = self

    def init_communicator(self, device):
        pass

    def get_server_info(self):
        return {"model_config": {"logprobs_mode": "processed_logprobs"}}

    def update_named_params(self, metadata, named_params):
        self.load_weights(named_params)

    def reset_prefix_cache(self):
        pass

    def post(self, url):
        assert url == f"{self.base_url}/reset_encoder_cache"
        self.seen.clear()
        return SimpleNamespace(status_code=self.status)

    def image_features(self, images):
        for pictures in images:
            for picture in pictures:
                self.look(picture)
        return [{"mm_placeholders": {"image": [{}] * len(pictures)}} for pictures in images]

    def generate(self, prompts, features, n, max_tokens, generation_kwargs, **sampling):
        for ids, of_row in zip(prompts, features, strict=True):
            places = of_row["mm_placeholders"]["image"]
            assert all(place["length"] == TOKENS_PER_PICTURE for place in places)
            self.asked += [(len(places), max_tokens)] * n
        bias = generation_kwargs.get("logit_bias", {})
        completions = [self.complete(max_tokens, bias) for _ in range(len(prompts) * n)]
        return {
            "prompt_ids": prompts,
            "completion_ids": completions,
            "logprobs": [[[-1.0]] * len(completion) for completion in completions],
        }


@pytest.fixture
def make(tiny, tmp_path, monkeypatch):
    def make(mode, pictures=1):
        image_token = AutoProcessor.from_pretrained(tiny).image_token_id
        monkeypatch.setattr(vllm_generation, "is_vllm_available", lambda: True)
        monkeypatch.setattr(vllm_generation, "SamplingParams", SimpleNamespace, raising=False)
        monkeypatch.setattr(vllm_generation, "LLM", lambda **kwargs: Engine(image_token, **kwargs), raising=False)
        monkeypatch.setattr(vllm_generation, "VLLMClient", lambda **kwargs: Client(image_token, **kwargs))
        for variable in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
            monkeypatch.setenv(variable, "0")  # put back afterwards: TRL sets them and leaves them
            monkeypatch.delenv(variable)
        return make_trainer(
            tiny,
            tmp_path,
            STAGES,
            num_rows=2,
            pictures=pictures,
            per_device_train_batch_size=4,
            learning_rate=0.1,
            use_vllm=True,
            vllm_mode=mode,
            generation_kwargs={},
        )

    return make


@pytest.mark.parametrize("pictures", [1, 2])
@pytest.mark.parametrize(("mode", "engine"), [("colocate", Engine), ("server", Client)])
def test_pictures_reach_vllm_once_fresh_and_at_each_stages_length(make, mode, engine, pictures):
    trainer = make(mode, pictures)
    trainer.train()
    asked = engine.made.asked
    assert [length for _, length in asked] == [3] * 16 + [6] * 8
    assert {placeholders for placeholders, _ in asked} == {pictures}
    assert engine.made.stale == 0
    assert [generation["num_generations"] for generation in trainer.generations] == [4] * 4 + [2] * 4
    assert all(generation["lengths"] == [3 if i < 4 else 6] for i, generation in enumerate(trainer.generations))


def test_expanded_placeholders_are_caught_before_anything_is_trained_on_them(make, monkeypatch):
    monkeypatch.setattr(vllm, "one_placeholder_per_picture", lambda prompt, image_token: prompt)
    trainer = make("colocate")
    with pytest.raises(RuntimeError, match="another prompt than the trainer"):
        trainer.train()
    assert trainer.state.global_step == 0


@pytest.mark.parametrize(("mode", "engine"), [("colocate", Engine), ("server", Client)])
def test_without_a_reset_vllm_would_answer_from_what_an_older_tower_saw(make, monkeypatch, mode, engine):
    monkeypatch.setattr(vllm.PictureGeneration, "sync_weights", VLLMGeneration.sync_weights)
    make(mode).train()
    assert engine.made.stale > 0


@pytest.mark.parametrize("mode", ["colocate", "server"])
def test_a_sampled_image_token_would_stop_the_run(make, monkeypatch, mode):
    monkeypatch.setattr(vllm, "_without_picture_tokens", lambda kwargs, processing_class: kwargs)
    with pytest.raises(ValueError, match="image tokens|Image features"):
        make(mode).train()


def test_a_server_that_cannot_forget_pictures_is_refused(make):
    trainer = make("server")
    Client.made.status = 404
    with pytest.raises(RuntimeError, match="VLLM_SERVER_DEV_MODE=1"):
        trainer.train()


def test_a_users_own_logit_bias_stays():
    processing_class = SimpleNamespace(image_token_id=7, video_token_id=8)
    kwargs = vllm._without_picture_tokens({"logit_bias": {3: 1.0}, "seed": 5}, processing_class)
    assert kwargs == {"logit_bias": {3: 1.0, 7: vllm.NEVER, 8: vllm.NEVER}, "seed": 5}


def test_an_engine_too_short_for_the_last_stage_is_refused_with_the_length_it_needs():
    recipe = "recipes/vr1_tiny/ptst.yaml"
    with pytest.raises(UserError, match=r"vllm_max_model_length: 200 does not hold 96 .* 128 .*; write 224 or more"):
        read_recipe(recipe, "grpo", ["--use_vllm", "true", "--vllm_max_model_length", "200"])
    assert read_recipe(recipe, "grpo", ["--use_vllm", "true", "--vllm_max_model_length", "224"])
