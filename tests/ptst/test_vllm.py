"""Pictures in vLLM, on stand-ins that get wrong what vLLM 0.31 gets wrong when it is driven as TRL 1.16 drives it."""

import re
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl.generation import vllm_generation
from trl.generation.vllm_generation import VLLMGeneration

from open_vr1.errors import UserError
from open_vr1.ptst import vllm
from open_vr1.recipe import read_recipe

from .runs import make_trainer
from .tiny import build_rows

STAGES = [
    {"max_completion_length": 3, "num_generations": 4, "steps": 4},
    {"max_completion_length": 6, "num_generations": 2, "steps": 4},
]


LORA = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "qkv", "mlp.2"])  # in text, tower and merger


class StandIn:
    """
    What both engines have in common: the processor of the model's folder, a cache of what the tower saw, and a policy to
    sample from.
    """

    context = 512

    def __init__(self, processor, mm_processor_kwargs=None):
        self.image_token = processor.image_token_id
        self.image_processor = processor.image_processor
        self.picture_arguments = (mm_processor_kwargs or {}).get("images_kwargs", {})
        self.weights = {}
        self.tower = None
        self.seen = {}
        self.stale = 0
        self.asked = []
        self.completed = 0

    def load_weights(self, named_params):
        for name, param in named_params:
            self.weights[name] = param.clone()
            if name.endswith("visual.patch_embed.proj.weight"):
                self.tower = param.sum().item()

    def look(self, picture):
        """How many tokens the picture is."""
        grid = self.image_processor(picture, **self.picture_arguments)["image_grid_thw"]
        key = picture.tobytes()
        self.stale += self.seen.setdefault(key, self.tower) != self.tower
        return int(grid.prod()) // self.image_processor.merge_size**2

    def complete(self, max_tokens, logit_bias):
        """Another completion each time, or the group would have nothing to learn from."""
        self.completed += 1
        first = 65 if logit_bias.get(self.image_token, 0) <= -100 else self.image_token
        return [first] + [66 + self.completed % 20] * (max_tokens - 1)


class Engine(StandIn):
    """Plays `vllm.LLM`: replaces one image token for each picture by as many as the picture takes."""

    made = None

    def __init__(self, processor, mm_processor_kwargs=None, **config):
        super().__init__(processor, mm_processor_kwargs)
        self.model_config = SimpleNamespace(max_model_len=self.context)
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
                tokens = self.look(picture)
                at = ids.index(self.image_token, start)
                ids[at : at + 1] = [self.image_token] * tokens
                start = at + tokens
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

    def __init__(self, processor, **config):
        super().__init__(processor)
        self.session = SimpleNamespace(post=self.post)
        self.status = 200
        Client.made = self

    def init_communicator(self, device):
        pass

    def get_server_info(self):
        return {"model_config": {"logprobs_mode": "processed_logprobs", "max_model_len": self.context}}

    def update_named_params(self, metadata, named_params):
        """Reads them when it has got them all, as vLLM does that packs them into a gigabyte."""
        self.load_weights(list(named_params))

    def reset_prefix_cache(self):
        pass

    def post(self, url):
        assert url == f"{self.base_url}/reset_encoder_cache"
        self.seen.clear()
        return SimpleNamespace(status_code=self.status)

    def image_features(self, images):
        of_rows = [[{"offset": 0, "length": self.look(picture)} for picture in pictures] for pictures in images]
        return [{"mm_placeholders": {"image": of_row}} for of_row in of_rows]

    def generate(self, prompts, features, n, max_tokens, generation_kwargs, **sampling):
        for ids, of_row in zip(prompts, features, strict=True):
            self.asked += [(len(of_row["mm_placeholders"]["image"]), max_tokens)] * n
        bias = generation_kwargs.get("logit_bias", {})
        completions = [self.complete(max_tokens, bias) for _ in range(len(prompts) * n)]
        return {
            "prompt_ids": prompts,
            "completion_ids": completions,
            "logprobs": [[[-1.0]] * len(completion) for completion in completions],
        }


@pytest.fixture
def make(tiny, tmp_path, monkeypatch):
    def make(mode, pictures=1, learning_rate=0.1, **config):
        processor = AutoProcessor.from_pretrained(tiny)
        monkeypatch.setattr(vllm_generation, "is_vllm_available", lambda: True)
        monkeypatch.setattr(vllm_generation, "SamplingParams", SimpleNamespace, raising=False)
        monkeypatch.setattr(vllm_generation, "LLM", lambda **kwargs: Engine(processor, **kwargs), raising=False)
        monkeypatch.setattr(vllm_generation, "VLLMClient", lambda **kwargs: Client(processor, **kwargs))
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
            learning_rate=learning_rate,
            use_vllm=True,
            vllm_mode=mode,
            generation_kwargs={},
            **config,
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


def test_a_colocated_engine_has_the_trainers_pixel_budget_not_the_model_folders(make):
    trainer = make("colocate", pictures=2, pixels=(28 * 28, 28 * 28))
    trainer.train()
    assert trainer.state.global_step == 8
    assert Engine.made.look(build_rows(1)[0]["images"][0]) == 1  # and 4 as the folder says


def test_without_its_pixel_budget_a_colocated_engine_is_caught(make, monkeypatch):
    monkeypatch.setattr(vllm, "_picture_arguments", lambda processing_class: {})
    with pytest.raises(RuntimeError, match="another prompt than the trainer"):
        make("colocate", pixels=(28 * 28, 28 * 28)).train()


def test_a_server_with_another_pixel_budget_is_refused_with_the_one_it_needs(make):
    trainer = make("server", pictures=2, pixels=(28 * 28, 28 * 28))
    needed = '--mm-processor-kwargs \'{"images_kwargs": {"size": {"shortest_edge": 784, "longest_edge": 784}}}\''
    with pytest.raises(UserError, match=rf"\[4, 4\] image tokens .* \[1, 1\].*{re.escape(needed)}"):
        trainer.train()
    assert trainer.state.global_step == 0 and not Client.made.asked


def test_a_processor_without_a_pixel_budget_asks_nothing_of_the_engine():
    for size in (None, {"height": 224, "width": 224}, {"shortest_edge": 224}):
        assert vllm._picture_arguments(SimpleNamespace(image_processor=SimpleNamespace(size=size))) == {}
    assert vllm._picture_arguments(SimpleNamespace()) == {}


@pytest.mark.parametrize(("mode", "setting"), [("colocate", "vllm_max_model_length"), ("server", "--max-model-len")])
def test_a_context_too_short_for_the_last_stage_stops_the_run_before_its_first(make, monkeypatch, mode, setting):
    needed = prompt_length(make(mode).processing_class) + STAGES[-1]["max_completion_length"]
    monkeypatch.setattr(StandIn, "context", needed)
    make(mode).train()
    monkeypatch.setattr(StandIn, "context", needed - 1)
    trainer = make(mode)
    with pytest.raises(UserError, match=f"{setting}: {needed - 1} does not hold .*; write {needed} or more"):
        trainer.train()
    assert trainer.state.global_step == 0


def prompt_length(processor):
    row = build_rows(1)[0]
    text = processor.apply_chat_template(row["prompt"], add_generation_prompt=True)
    return len(processor(text=[text], images=[row["images"]])["input_ids"][0])


def test_a_users_own_logit_bias_stays():
    processing_class = SimpleNamespace(image_token_id=7, video_token_id=8)
    kwargs = vllm._without_picture_tokens({"logit_bias": {3: 1.0}, "seed": 5}, processing_class)
    assert kwargs == {"logit_bias": {3: 1.0, 7: vllm.NEVER, 8: vllm.NEVER}, "seed": 5}


def test_an_engine_too_short_for_the_last_stage_is_refused_with_the_length_it_needs():
    recipe = "recipes/vr1_tiny/ptst.yaml"
    with pytest.raises(UserError, match=r"vllm_max_model_length: 200 does not hold 96 .* 128 .*; write 224 or more"):
        read_recipe(recipe, "grpo", ["--use_vllm", "true", "--vllm_max_model_length", "200"])
    assert read_recipe(recipe, "grpo", ["--use_vllm", "true", "--vllm_max_model_length", "224"])


class Synced:
    """At each weight sync: what vLLM holds after it, and the adapters at the time."""

    def __init__(self, monkeypatch, engine):
        self.weights, self.adapters = [], []
        sync = vllm.PictureGeneration.sync_weights

        def sync_and_note(generation):
            sync(generation)
            self.weights.append(dict(engine.made.weights))
            self.adapters.append(
                {name: param.clone() for name, param in generation.model.named_parameters() if ".lora_" in name}
            )

        monkeypatch.setattr(vllm.PictureGeneration, "sync_weights", sync_and_note)


def merged(base, adapters, scale):
    """The weights that adapters make of the base model's, by LoRA's formula."""
    weights = dict(base)
    for name, down in adapters.items():
        if ".lora_A." in name:
            up = adapters[name.replace(".lora_A.", ".lora_B.")]
            target = without_adapters(name.replace(".lora_A.default", ""))
            weights[target] = base[target] + scale * up @ down
    return weights


def without_adapters(name):
    return name.removeprefix("base_model.model.").replace(".base_layer", "")


@pytest.fixture
def base(tiny):
    model = AutoModelForImageTextToText.from_pretrained(tiny)
    return {name: param.detach().clone() for name, param in model.named_parameters()}


@pytest.mark.parametrize(("mode", "engine"), [("colocate", Engine), ("server", Client)])
def test_vllm_gets_merged_adapters_at_every_sync_and_the_base_model_stays(make, base, monkeypatch, mode, engine):
    synced = Synced(monkeypatch, engine)
    trainer = make(mode, learning_rate=0.02, trainer_kwargs={"peft_config": LORA})
    trainer.train()

    assert len(synced.weights) == 8
    for weights, adapters in zip(synced.weights, synced.adapters, strict=True):
        torch.testing.assert_close(weights, merged(base, adapters, scale=2.0), rtol=1e-5, atol=1e-6)
    first, last = synced.adapters[0], synced.adapters[-1]
    assert len(first) == 8 and not any(torch.equal(first[name], last[name]) for name in first)
    moved = [name for name in base if not torch.allclose(synced.weights[-1][name], base[name])]
    assert len(moved) == 4

    ours = {without_adapters(name): param for name, param in trainer.model.named_parameters()}
    assert all(torch.equal(ours[name], param) for name, param in base.items())


def test_trls_own_merging_would_leave_the_base_model_changed(make, base, monkeypatch):
    monkeypatch.setattr(vllm.PictureGeneration, "_iter_named_params", VLLMGeneration._iter_named_params)
    trainer = make("colocate", learning_rate=0.02, trainer_kwargs={"peft_config": LORA})
    trainer.train()
    ours = {without_adapters(name): param for name, param in trainer.model.named_parameters()}
    assert not all(torch.equal(ours[name], param) for name, param in base.items())


def test_trls_own_merging_would_send_a_server_weights_without_adapters(make, base, monkeypatch):
    monkeypatch.setattr(vllm.PictureGeneration, "_iter_named_params", VLLMGeneration._iter_named_params)
    make("server", learning_rate=0.02, trainer_kwargs={"peft_config": LORA}).train()
    torch.testing.assert_close(Client.made.weights, base, rtol=1e-5, atol=1e-6)
