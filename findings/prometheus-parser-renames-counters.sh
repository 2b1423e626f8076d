#!/usr/bin/env bash
# prometheus_client's parser gives counters another name than the exporter did.
#
# Guess: text_string_to_metric_families returns the samples with the names that
# are in the text. A counter `jobs_done`, without the suffix _total, is legal in
# the text format and keeps its name.
#
# Seen with prometheus_client 0.26.0: the sample is called jobs_done_total, a name
# that is not in the text. A gauge of that name stays. The writer renames in the
# same way, and an Info metric gets a second suffix: Info("build_info") is written
# as build_info_info.
#
#   # TYPE jobs_done counter
#   jobs_done 5                 -> sample jobs_done_total 5
#
# Why it matters: programs use this parser to test their /metrics page, to check
# limits, or to pass metrics on. A lookup by the name that curl shows finds nothing,
# and a metric passed on by the library has another name than the one which
# dashboards use for the same exporter.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check prometheus-client==0.26.0
"$work/venv/bin/python" - <<'EOF'
import sys

from prometheus_client import CollectorRegistry, Info, generate_latest
from prometheus_client.parser import text_string_to_metric_families


def check(what, seen, expected):
    print(f"{what}: {seen!r}")
    if seen != expected:
        sys.exit(f"the behaviour changed, expected {expected!r}")


def samples(text):
    return [(s.name, s.value) for family in text_string_to_metric_families(text) for s in family.samples]


check("counter", samples("# TYPE jobs_done counter\njobs_done 5\n"), [("jobs_done_total", 5.0)])
check("gauge", samples("# TYPE jobs_done gauge\njobs_done 5\n"), [("jobs_done", 5.0)])
check("untyped", samples("jobs_done 5\n"), [("jobs_done", 5.0)])

registry = CollectorRegistry()
Info("build_info", "Build", registry=registry).info({"version": "1"})
written = generate_latest(registry).decode().splitlines()[-1]
check("Info", written, 'build_info_info{version="1"} 1.0')
EOF
