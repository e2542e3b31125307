"""
A local Hub: a real HTTP server that the real clients (huggingface_hub, hf_xet, datasets, transformers) talk to, with
repositories, commits, both upload paths, pull requests, collections, Spaces, Jobs, typed errors, and faults on demand.

    with local_hub() as hub:
        hub.api("write").create_repo("open-vr1/model")
        hub.faults.lose_answer(method="POST", path="/commit/")

In a test: `from tests.hub_server.plugin import hub`, then the fixture `hub`. By hand: `make hub`.
It proves code against our reading of the protocol, not against huggingface.co; a call that it does not know fails the test.
"""

from .server import LocalHub, local_hub

__all__ = ["LocalHub", "local_hub"]
