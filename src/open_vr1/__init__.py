"""open-vr1: Vision-R1 as Hugging Face recipes."""

__version__ = "0.1.0"
