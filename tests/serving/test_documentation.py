from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from served_runs import Server, image, running

import distingo


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
    assert {"/v2/models/{name}/versions/{version}/infer", "/v1/models/{name}:predict", "/invocations"} <= set(paths)
    names = [each["operationId"] for methods in paths.values() for each in methods.values()]
    assert len(names) == len(set(names))
    for path, methods in paths.items():
        for operation in methods.values():
            said = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
            assert said == set(re.findall(r"{(\w+)}", path))


def test_the_document_names_nothing_of_this_machine(server: Server, tiny_runs: dict[str, Path]) -> None:
    for path in ("/openapi.json", "/models", "/v2/models/cnn", "/metrics"):
        assert str(tiny_runs["small-cnn"].parent) not in httpx2.get(server.url + path).text


def test_no_page_that_loads_scripts_from_elsewhere_is_served(server: Server) -> None:
    assert [httpx2.get(server.url + path).status_code for path in ("/docs", "/redoc")] == [404, 404]


CLIENT = """
import sys
from classifier_client import Client
from classifier_client.api.default import classify_image, list_models, predict, v1_predict
from classifier_client.models import PredictFilesBody as Form
from classifier_client.models import V1PredictBody
from classifier_client.types import File

client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True)
assert [model.name for model in list_models.sync(client=client).models] == ["cnn"]
image = lambda: File(payload=open(sys.argv[2], "rb"), file_name="a.jpg", mime_type="image/jpeg")
answer = predict.sync(client=client, body=Form(images=[image(), image()]), top_k=1)
first, second = answer.predictions
assert first.label == second.label and len(first.scores) == 1 and first.image == "a.jpg"
alone = predict.sync(client=client, body=image())
assert alone.predictions[0].label == first.label
assert classify_image.sync("cnn", client=client, body=image())[0].label == first.label
print(first.label, first.scores[0].probability)
"""


def test_a_generated_client_uploads_images(server: Server, tmp_path: Path, tiny_runs: dict[str, Path]) -> None:
    document = tmp_path / "openapi.json"
    document.write_bytes(httpx2.get(server.url + "/openapi.json").content)
    config = tmp_path / "config.yml"
    config.write_text(
        "package_name_override: classifier_client\nproject_name_override: classifier-client\npost_hooks: []\n"
    )
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", document, "--config", config]
    made = subprocess.run(
        [*command, "--meta", "none", "--output-path", tmp_path / "classifier_client", "--fail-on-warning"],
        check=False, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    assert "warning" not in (made.stdout + made.stderr).lower()
    (tmp_path / "a.jpg").write_bytes(image(2))
    asked = subprocess.run(
        [sys.executable, "-c", CLIENT, server.url, tmp_path / "a.jpg"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert asked.returncode == 0, asked.stderr
    (expected,) = distingo.load(tiny_runs["small-cnn"]).predict([tmp_path / "a.jpg"])
    label, probability = asked.stdout.split()
    assert label == expected.label and float(probability) == pytest.approx(expected.confidence, abs=2e-3)
