"""The alert rules that ship are about figures that this service gives, and say what they mean."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from payments.core.telemetry import ALERTS

RULES = Path(__file__).parents[2] / "deploy" / "alerts.yml"


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_a_rule_asks_for_a_figure_that_there_is(rule: dict[str, Any]) -> None:
    assert ALERTS in REGISTRY._collector_to_names
    given = {f"{metric.name}_total" for metric in REGISTRY.collect() if metric.type == "counter"}
    asked = set(re.findall(r"payments_\w+", rule["expr"]))
    assert asked, rule["expr"]
    assert asked <= given
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert {"summary", "description"} <= set(rule["annotations"])


def test_attempts_to_overdraw_credits_are_alerted_within_fifteen_minutes() -> None:
    [rule] = [rule for rule in rules() if "credit_shortfalls" in rule["expr"]]
    assert rule["expr"] == "sum(increase(payments_credit_shortfalls_total[15m])) > 0"
