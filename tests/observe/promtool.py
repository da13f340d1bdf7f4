"""Prometheus' own tool, which reads its configuration and answers questions of made-up figures."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.observe.expressions import OBSERVE
from tests.servers import program

PROMETHEUS = OBSERVE / "prometheus"


def promtool(*arguments: str) -> None:
    """Run it where the configuration is; its complaint is the failure."""
    done = subprocess.run(
        [program("promtool"), *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def assert_answer(folder: Path, series: Mapping[str, str], query: str, answer: Mapping[str, float]) -> None:
    """After 2 minutes of these series, a value each 5 s, the query finds these values, by their labels."""
    test = {
        "interval": "5s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": query,
                "eval_time": "2m",
                "exp_samples": [{"labels": labels, "value": value} for labels, value in answer.items()],
            }
        ],
    }
    file = folder / "test.yml"
    file.write_text(json.dumps({"tests": [test]}))  # JSON is YAML
    promtool("test", "rules", str(file))
