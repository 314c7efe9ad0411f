from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from served_runs import Server, picture, running


@pytest.fixture(scope="module")
def server(tiny_runs: dict[str, Path]) -> Iterator[Server]:
    with running({"cnn": tiny_runs["small-cnn"]}) as started:
        yield started


def test_every_route_is_described_and_every_operation_has_a_name_of_its_own(server: Server) -> None:
    document = httpx2.get(server.url + "/openapi.json").json()
    paths = document["paths"]
    assert {"/predict", "/models", "/models/{name}", "/models/{name}/reload", "/metrics", "/livez", "/readyz"} <= set(
        paths
    )
    assert "/v2/models/{name}/versions/{version}/infer" in paths
    names = [each["operationId"] for methods in paths.values() for each in methods.values()]
    assert len(names) == len(set(names))
    for path, methods in paths.items():
        for operation in methods.values():
            said = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
            assert said == {part[1:-1] for part in path.split("/") if part.startswith("{")}


def test_the_document_names_nothing_of_this_machine(server: Server, tiny_runs: dict[str, Path]) -> None:
    for path in ("/openapi.json", "/models", "/v2/models/cnn", "/metrics"):
        assert str(tiny_runs["small-cnn"].parent) not in httpx2.get(server.url + path).text


def test_no_page_that_loads_scripts_from_elsewhere_is_served(server: Server) -> None:
    assert [httpx2.get(server.url + path).status_code for path in ("/docs", "/redoc")] == [404, 404]


CLIENT = """
import io, sys
from classifier_client import Client
from classifier_client.api.default import list_models, predict
from classifier_client.models import PredictFilesBody as Form
from classifier_client.types import File

client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True)
assert [model.name for model in list_models.sync(client=client).models] == ["cnn"]
form = Form(pictures=[File(payload=open(sys.argv[2], "rb"), file_name="a.jpg", mime_type="image/jpeg")])
answer = predict.sync(client=client, body=form, top_k=1)
prediction = answer.predictions[0]
print(prediction.label, len(prediction.scores), prediction.picture)
"""


@pytest.mark.slow
def test_a_generated_client_gets_a_prediction(server: Server, tmp_path: Path) -> None:
    generator = tmp_path / "generator"
    subprocess.run([sys.executable, "-m", "venv", str(generator)], check=True, capture_output=True)
    python = generator / "bin" / "python"
    installed = subprocess.run(
        [python, "-m", "pip", "install", "-q", "openapi-python-client"], check=False, capture_output=True, text=True
    )
    if installed.returncode:
        pytest.skip("openapi-python-client can't be installed here")
    document = tmp_path / "openapi.json"
    document.write_bytes(httpx2.get(server.url + "/openapi.json").content)
    config = tmp_path / "config.yml"
    config.write_text("package_name_override: classifier_client\nproject_name_override: classifier-client\n")
    command = [generator / "bin" / "openapi-python-client", "generate", "--path", document, "--config", config]
    made = subprocess.run(
        [*command, "--meta", "none", "--output-path", tmp_path / "classifier_client"],
        check=False, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    assert "WARNING" not in made.stdout.upper().replace("WARNING: RUFF", ""), made.stdout
    (tmp_path / "a.jpg").write_bytes(picture(2))
    asked = subprocess.run(
        [python, "-c", CLIENT, server.url, tmp_path / "a.jpg"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.split()[1:] == ["1", "a.jpg"]
