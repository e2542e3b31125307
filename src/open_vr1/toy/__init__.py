"""A synthetic world of visual maths, a tiny Qwen2.5-VL and the demo: the whole path at laptop scale."""
