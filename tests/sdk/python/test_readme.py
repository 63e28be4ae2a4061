"""The README's Python examples work as printed."""

import pathlib
import re
import subprocess
import sys

import pytest
from gateway import CLIENT_KEY

README = pathlib.Path(__file__).parents[3] / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_the_readme_has_examples():
    assert EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_readme_prints_an_answer(gateway, example):
    at = example.replace("127.0.0.1:8080", gateway.calls).replace('"unused"', repr(CLIENT_KEY))
    assert gateway.calls in at
    done = subprocess.run([sys.executable, "-c", at], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "simulated vendor" in done.stdout
