"""An image beside Prometheus: scraped, missed by the alert rules when it ends, and found again."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from experiments.containers.build import Image
from experiments.containers.namespaces import network
from experiments.containers.prometheus import is_there, prometheus
from experiments.containers.served import started, wait_until_healthy

_NETWORK = "depthrt-replay"
_SCRAPED_S, _FIRES_S = 60.0, 240.0
_FIRES = 'ALERTS{alertname="DepthrtDown",alertstate="firing"}'


def try_watched(image: Image, work: Path) -> dict[str, Any] | None:
    """End a server that Prometheus scrapes, until the alert fires, and start it until it clears.

    Returns:
        How long each took; None where Prometheus is not installed.

    Raises:
        RuntimeError: it is not scraped, or the alert does not fire or clear.
    """
    if not is_there():
        return None
    rules = work / "alerts.yml"
    rules.write_text((files("depthrt.monitor") / "alerts.yml").read_text("utf-8"))
    targets = ["127.0.0.1:8000"]
    with (
        network(_NETWORK) as within,
        prometheus(work, 9090, targets, rules, within=within) as server,
    ):
        argv = [*image.entrypoint, *image.command]
        container, log = started(image, work, argv, "watched", network=_NETWORK)
        with container:
            wait_until_healthy(image, container, log)
            scraped_s = server.until('up{job="depthrt"}', [1.0], _SCRAPED_S)
            container.stop(_SCRAPED_S)
        fires_s = server.until(_FIRES, [1.0], _FIRES_S)
        container, log = started(image, work, argv, "again", network=_NETWORK)
        with container:
            wait_until_healthy(image, container, log)
            clears_s = server.until(_FIRES, [], _SCRAPED_S)
    return {
        "scraped_after_s": scraped_s,
        "down_told_after_s": fires_s,
        "cleared_after_s": clears_s,
    }
