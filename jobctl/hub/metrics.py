"""The hub's counters, and their export to Prometheus: ``/metrics``.

The hub counts with plain numbers; they are exported when ``/metrics`` is requested, as OpenMetrics
1.0 if the client prefers it, otherwise in Prometheus' text format 0.0.4. No label has text from
jobs or clients; the types of jobs that are labels are those that the settings name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from jobctl.core.schedule import TypeState

__all__ = [
    "CONTENT_TYPE",
    "OPENMETRICS_TYPE",
    "Buckets",
    "Counts",
    "Exporter",
    "MetricsSource",
    "TypeMetrics",
    "prefers_openmetrics",
]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_OPENMETRICS = "application/openmetrics-text"
_OPENMETRICS_VERSIONS = ("", "0.0.1", "1.0.0")

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_REVISIONS = (0.0, 1.0, 10.0, 100.0, 1000.0, 10000.0)


class Buckets:
    """A histogram: the number of values up to each bound, and the sum of all values."""

    def __init__(self, bounds: tuple[float, ...] = _SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        index = next(
            (index for index, bound in enumerate(self.bounds) if value <= bound), len(self.bounds)
        )
        self.counts[index] += 1
        self.sum += value

    def cumulative(self, *, canonical: bool = False) -> list[tuple[str, float]]:
        """Return each bound with the number of values up to it, as Prometheus expects.

        OpenMetrics wants ``canonical`` numbers: ``1.0``, where the older format has ``1``.
        """
        total, rows = 0, []
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            total += count
            text = repr(bound) if canonical else f"{bound:g}"
            rows.append(("+Inf" if bound == float("inf") else text, float(total)))
        return rows


@dataclass(slots=True)
class Counts:
    """What has happened since the hub started."""

    opened: Counter[str] = field(default_factory=Counter)
    """Sessions by dialect."""
    starts: Counter[str] = field(default_factory=Counter)
    """Subscriptions by outcome: ``resumed``, ``reset`` or ``fresh``."""
    reconnects: int = 0
    """Clients that came with a cursor."""
    refused: Counter[str] = field(default_factory=Counter)
    """Connections that were turned away, by reason."""
    deltas: int = 0
    bytes: int = 0
    """Written to sessions, as they go over the wire."""
    plain_bytes: int = 0
    """What those would have been without compression."""
    failures: int = 0
    control: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Acts by verb and outcome: ``done``, ``repeated``, ``failed``, or the code of a refusal."""
    requests: Counter[int] = field(default_factory=Counter)
    """HTTP answers by status."""
    rings: int = 0
    reads: Buckets = field(default_factory=Buckets)
    """Seconds that reads of the store took."""
    loop_lag: Buckets = field(default_factory=Buckets)
    """Seconds that the event loop was late."""


class TypeMetrics(NamedTuple):
    """The values of one type of jobs that settings name.

    ``overdue`` is ``None`` for a type that does not have to succeed regularly. ``ended`` counts
    the attempts that the hub has seen end, by outcome, and ``durations`` has the seconds that the
    completed ones took.
    """

    type: str
    state: TypeState
    overdue: bool | None
    ended: Mapping[str, int]
    durations: Buckets


class MetricsSource(Protocol):
    """Values that are read when the metrics are requested."""

    counts: Counts

    def connections(self) -> dict[str, int]:
        """Return the number of connections by state: ``opening``, ``session``, ``http``."""

    def sessions(self) -> dict[str, int]:
        """Return the number of sessions by dialect."""

    def jobs(self) -> dict[str, int]:
        """Return the number of jobs by state: ``active``, or how they ended."""

    def lags(self) -> Iterable[int]:
        """Return for each session how many revisions it lags behind."""

    def quarantined(self) -> int:
        """Return the number of files in quarantine."""

    def revision(self) -> int:
        """Return the newest revision of the replica."""

    def types(self) -> Iterable[TypeMetrics]:
        """Return the values of each type that settings name."""


class Exporter:
    """Makes the text that Prometheus reads."""

    def __init__(self, hub: MetricsSource) -> None:
        self._text, self._openmetrics = CollectorRegistry(), CollectorRegistry()
        for registry in (self._text, self._openmetrics):
            registry.register(_HubCollector(hub, openmetrics=registry is self._openmetrics))
            ProcessCollector(registry=registry)

    def text(self) -> bytes:
        """Return the metrics; the content type is `CONTENT_TYPE`."""
        return generate_latest(self._text)

    def openmetrics(self) -> bytes:
        """Return the metrics; the content type is `OPENMETRICS_TYPE`."""
        text: bytes = generate_openmetrics(self._openmetrics)  # type: ignore[no-untyped-call]
        return text


class _HubCollector:
    """Collects a hub's metrics for one of the two formats."""

    def __init__(self, hub: MetricsSource, *, openmetrics: bool) -> None:
        self._hub = hub
        self._is_openmetrics = openmetrics

    def describe(self) -> list[Metric]:
        """Return an empty list, so that registering does not collect the metrics."""
        return []

    def collect(self) -> Iterator[Metric]:
        hub, counts = self._hub, self._hub.counts
        yield _by("gauge", "connections", "Connections now.", "state", hub.connections())
        yield _by("gauge", "sessions", "Sessions now.", "dialect", hub.sessions())
        yield _by("counter", "sessions_opened", "Sessions since the start.", "dialect",
                  counts.opened)  # fmt: skip
        yield _by("gauge", "jobs", "Jobs that the hub knows.", "state", hub.jobs())
        yield _by("counter", "subscriptions", "How subscriptions began.", "outcome",
                  {"resumed": 0, "reset": 0, "fresh": 0, **counts.starts})  # fmt: skip
        yield _by("counter", "refused", "Connections that were turned away.", "reason",
                  counts.refused)  # fmt: skip
        yield _by("counter", "http_requests", "HTTP answers.", "status",
                  {str(status): count for status, count in counts.requests.items()})  # fmt: skip
        control = CounterMetricFamily(
            "jobctl_control", "Acts that clients asked for.", labels=["verb", "outcome"]
        )
        for (verb, outcome), count in sorted(counts.control.items()):
            control.add_metric([verb, outcome], count)
        yield control
        yield _gauge("revision", "Newest revision that the hub knows.", hub.revision())
        yield _gauge("quarantined_files", "Files that are no jobs.", hub.quarantined())
        ratio = counts.bytes / counts.plain_bytes if counts.plain_bytes else 1.0
        yield _gauge("compression_ratio", "Bytes written to sessions by bytes meant.", ratio)
        yield _counter("reconnects", "Clients that came with a cursor.", counts.reconnects)
        yield _counter("deltas", "Deltas written to sessions.", counts.deltas)
        yield _counter("sent_bytes", "Bytes written to sessions.", counts.bytes)
        yield _counter("session_failures", "Sessions that failed in the hub.", counts.failures)
        yield _counter("rings", "Rings of the doorbell that were heard.", counts.rings)
        lag = Buckets(_REVISIONS)
        for revisions in hub.lags():
            lag.add(revisions)
        yield self._snapshot("session_lag_revisions", "How far sessions lag behind now.", lag)
        yield self._histogram(
            "store_read_seconds", "How long reads of the store took.", counts.reads
        )
        yield self._histogram("loop_lag_seconds", "How late the event loop was.", counts.loop_lag)
        if types := list(hub.types()):
            yield from self._of_types(types)

    def _of_types(self, types: list[TypeMetrics]) -> Iterator[Metric]:
        """Yield the metrics of the types that settings name.

        A gauge counts the jobs that the hub knows now, so it falls when jobs are removed. What the
        hub has seen end since its start is a counter or a histogram.
        """
        yield _by_type("jobs", "Jobs that the hub knows, by state.", (
            ((each.type, state), count)
            for each in types
            for state, count in {"active": each.state.active, **each.state.ended}.items()
        ), "state")  # fmt: skip
        yield _by_type("lost_jobs", "Active jobs whose worker has died.",
                       (((each.type,), each.state.lost) for each in types))  # fmt: skip
        yield _by_type("stalled_jobs", "Active jobs that are too long in one stage.",
                       (((each.type,), each.state.stalled) for each in types))  # fmt: skip
        yield _by_type("last_success_timestamp_seconds", "When a job completed last.",
                       (((each.type,), each.state.last_success_ms / 1000) for each in types
                        if each.state.last_success_ms is not None))  # fmt: skip
        yield _by_type("last_failure_timestamp_seconds", "When a job failed last.",
                       (((each.type,), each.state.last_failure_ms / 1000) for each in types
                        if each.state.last_failure_ms is not None))  # fmt: skip
        yield _by_type("overdue", "Whether no job has completed within the expected time.",
                       (((each.type,), float(each.overdue)) for each in types
                        if each.overdue is not None))  # fmt: skip
        ended = CounterMetricFamily(
            "jobctl_type_ended", "Attempts that the hub has seen end.", labels=["type", "outcome"]
        )
        durations = HistogramMetricFamily(
            "jobctl_type_duration_seconds",
            "How long the completed of those attempts took.",
            labels=["type"],
        )
        for each in types:
            for outcome, count in each.ended.items():
                ended.add_metric([each.type, outcome], count)
            buckets = each.durations.cumulative(canonical=self._is_openmetrics)
            durations.add_metric([each.type], buckets, sum_value=each.durations.sum)
        yield ended
        yield durations

    def _histogram(self, name: str, text: str, values: Buckets) -> Metric:
        """Return a histogram of what has happened since the start."""
        buckets = values.cumulative(canonical=self._is_openmetrics)
        return HistogramMetricFamily(f"jobctl_{name}", text, buckets=buckets, sum_value=values.sum)

    def _snapshot(self, name: str, text: str, values: Buckets) -> Metric:
        """Return a histogram of what is so now: its numbers go down, so ``rate()`` is wrong.

        OpenMetrics says so by the type and the names. The older format has no such type, so there
        it stays the histogram that it was.
        """
        if not self._is_openmetrics:
            return self._histogram(name, text, values)
        buckets = values.cumulative(canonical=True)
        return GaugeHistogramMetricFamily(
            f"jobctl_{name}", text, buckets=buckets, gsum_value=values.sum
        )


def prefers_openmetrics(accept: str) -> bool:
    """Whether a client with this ``Accept`` header gets OpenMetrics (RFC 9110, section 12.5.1).

    It must name the format, and may not prefer text: a browser and ``*/*`` get text.
    """
    weights = {_OPENMETRICS: 0.0, "text/plain": 0.0}
    for part in accept.split(","):
        range_, *parameters = (piece.strip().lower() for piece in part.split(";"))
        values = {key.strip(): value.strip(' "') for key, _, value in
                  (parameter.partition("=") for parameter in parameters)}  # fmt: skip
        known = range_ != _OPENMETRICS or values.get("version", "") in _OPENMETRICS_VERSIONS
        if range_ in weights and known:
            weights[range_] = max(weights[range_], _weight(values.get("q", "1")))
    return weights[_OPENMETRICS] > 0 and weights[_OPENMETRICS] >= weights["text/plain"]


def _weight(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"jobctl_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"jobctl_{name}", text, value=value)


def _by_type(
    name: str, text: str, values: Iterable[tuple[tuple[str, ...], float]], *more: str
) -> Metric:
    metric = GaugeMetricFamily(f"jobctl_type_{name}", text, labels=["type", *more])
    for labels, value in values:
        metric.add_metric(list(labels), value)
    return metric


def _by(kind: str, name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily if kind == "gauge" else CounterMetricFamily
    metric = family(f"jobctl_{name}", text, labels=[label])
    for key, value in sorted(values.items()):
        metric.add_metric([key], value)
    return metric
