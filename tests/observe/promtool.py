"""promtool, which checks Prometheus's configuration and runs queries on made-up series."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.observe.expressions import OBSERVE
from tests.servers import program

PROMETHEUS = OBSERVE / "prometheus"


def promtool(*arguments: str) -> None:
    """Run promtool in the folder of the configuration, and fail with its output."""
    done = subprocess.run(
        [program("promtool"), *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def assert_answer(folder: Path, series: Mapping[str, str], query: str, answer: Mapping[str, float]) -> None:
    """Check the values, by labels, of a query after 2 minutes of these series, with a step of 5 s."""
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
