from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tiny_datasets import draw_classes


def run_alone(program: str) -> str:
    """In a process where nobody has imported torch's compiler yet."""
    program = f"from distingo.machine.process import configure_process\nconfigure_process()\n{program}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_timm_and_its_architectures_come_without_the_compiler() -> None:
    program = """
import sys
from distingo.models.architectures import create_architecture, measure_architecture
from distingo.models.architectures import import_timm
assert import_timm() is sys.modules["timm"]
print(measure_architecture("mobilenetv2_035", {}, 64, 64).features)
create_architecture("mobilenetv2_035", {})
assert not [name for name in sys.modules if name.startswith("torch._dynamo")]
"""
    assert run_alone(program) == "1280"


@pytest.mark.parametrize("options", [{"model": "fashion-cnn"}, {"model": "small-cnn", "optimizer": "sgd"}])
def test_a_network_is_trained_without_the_compiler(options: dict[str, str], tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data")
    program = f"""
import sys
import distingo
run = distingo.train({str(data)!r}, {str(tmp_path / "run")!r}, image_size=16, epochs=1, **{options!r})
assert not [name for name in sys.modules if name.startswith("torch._dynamo")]
print(run.evaluation.n)
"""
    assert run_alone(program) == "12"


def test_afterwards_the_compiler_is_there_for_those_who_want_it() -> None:
    program = """
import torch
from distingo.models.architectures import measure_architecture
measure_architecture("mobilenetv2_035", {}, 64, 64)
double = torch.compile(lambda x: 2 * x, backend="eager")
assert double(torch.ones(2)).tolist() == [2, 2]
from torchvision.ops import roi_align
print(roi_align(torch.ones(1, 1, 4, 4), [torch.tensor([[0.0, 0, 4, 4]])], 2).shape)
"""
    assert run_alone(program) == "torch.Size([1, 1, 2, 2])"


def test_what_the_stand_in_lacks_comes_from_the_compiler_at_once() -> None:
    program = """
import sys
from distingo.machine.process import compiler_on_demand
with compiler_on_demand():
    from torch._dynamo.utils import is_compile_supported
    from torch._dynamo import config
assert sys.modules["torch._dynamo"].config is config
print(is_compile_supported("cpu"), sys.modules["torch._dynamo"].utils.is_compile_supported("cpu"))
"""
    first, second = run_alone(program).split()
    assert first == second


def test_functions_marked_meanwhile_are_not_compiled_later() -> None:
    program = """
import torch
from distingo.machine.process import compiler_on_demand
with compiler_on_demand():
    marked = torch.compiler.disable(lambda x: torch.compiler.is_compiling())
assert marked(1) is False
print(torch.compile(lambda x: (x + 1, marked(x)), backend="eager")(torch.ones(1))[1])
"""
    assert run_alone(program) == "False"


def test_a_compiler_that_is_there_is_left_alone() -> None:
    program = """
import torch._dynamo, sys
from distingo.machine.process import compiler_on_demand
with compiler_on_demand():
    assert sys.modules["torch._dynamo"] is torch._dynamo
print(torch._dynamo.__name__)
"""
    assert run_alone(program) == "torch._dynamo"
