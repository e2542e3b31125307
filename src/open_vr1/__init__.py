"""open-vr1: Vision-R1 as Hugging Face recipes."""

import os

# datasets and huggingface_hub count each load of a file, also of a local one, at a server. A run on local files stays local.
os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
