"""Checks the config ``metrics`` and turns it into settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runner.errors import InputError
from runner.metrics import METRICS
from runner.monitoring.ledger import ledger_path
from runner.monitoring.publish import MetricsSettings

if TYPE_CHECKING:
    from runner.cli.schema import MetricsConf, PushgatewayConf
    from runner.monitoring.pushgateway import Gateway

__all__ = ["metrics_settings"]


def metrics_settings(conf: MetricsConf, output: Path) -> MetricsSettings:
    """The settings of the metrics of one run.

    Args:
        conf: The config ``metrics``.
        output: The output folder of the run.

    Raises:
        InputError: A value cannot be used.
    """
    textfile = Path(conf.textfile) if conf.textfile else None
    ledger = Path(conf.ledger) if conf.ledger else None
    if ledger is None and textfile is not None:
        ledger = ledger_path(textfile)
    gateway = _gateway(conf.pushgateway)
    if gateway is not None and (ledger is None or _is_within(ledger, output)):
        # Without a ledger that outlives the run, every run would push totals that start at zero.
        raise InputError(
            "metrics.ledger",
            conf.ledger,
            "what is pushed must add up over runs, and this ledger would be each run's own",
            "give a file that stays, or use metrics=pushgateway",
        )
    return MetricsSettings(textfile, ledger, gateway)


def _is_within(path: Path, folder: Path) -> bool:
    return path.absolute().is_relative_to(folder.absolute())


def _gateway(conf: PushgatewayConf) -> Gateway | None:
    if not conf.url:
        return None
    _check_url("metrics.pushgateway.url", conf.url)
    if not conf.job:
        raise InputError("metrics.pushgateway.job", conf.job, "empty", "give a name")
    grouping = _grouping("metrics.pushgateway.grouping", conf.grouping)
    if not 0 < conf.timeout_s < float("inf"):
        raise InputError(
            "metrics.pushgateway.timeout_s", conf.timeout_s, "not a time limit", "give seconds"
        )
    from runner.monitoring.pushgateway import Gateway  # this imports an HTTP client

    return Gateway(conf.url, conf.job, grouping, conf.timeout_s)


def _grouping(field: str, labels: object) -> dict[str, str]:
    if labels is None:
        return {}
    if not isinstance(labels, dict):
        raise InputError(field, labels, "not labels and values", "give {instance: host1}, or null")
    taken = {"job", "le"}.union(*(metric.labels for metric in METRICS))
    for label, value in labels.items():
        if label in taken or not re.fullmatch(r"(?!__)[A-Za-z_][A-Za-z0-9_]*", str(label)):
            raise InputError(
                field,
                label,
                "cannot be a label of the group",
                "use letters, digits and _, and no label that the metrics have",
            )
        if isinstance(value, dict | list) or value is None:
            raise InputError(f"{field}.{label}", value, "not a label's value", "give a text")
    return {str(label): str(value) for label, value in labels.items()}


def _check_url(field: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is not a number, or the address is not one
        usable = False
    else:
        usable = usable and not (parts.query or parts.fragment or "@" in parts.netloc)
    if not usable or not url.isprintable() or " " in url:
        raise InputError(
            field,
            re.sub(r"//.*@", "//...@", url),
            "not the address of a Pushgateway",
            "give http://HOST:PORT or https://HOST:PORT, without user and password",
        )
