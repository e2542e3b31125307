from tests.hub_server.plugin import hub, upload_path  # noqa: F401
