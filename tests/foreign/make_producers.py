"""Make ``producers.json``: let each program write a job file, and keep its bytes.

Run by hand where the programs are installed: ``python -m tests.foreign.make_producers``. The tests
read the table only. Each expression is the program's own way to write the present; ``default`` is
what its language does without being told, ``careful`` what its manual recommends. All programs run
in the time zone of Berlin, so that a local time differs from UTC.
"""
# ruff: noqa: E501 (a table)

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("producers.json")
ZONE = "Europe/Berlin"
M2 = Path.home() / ".m2/repository/com/fasterxml/jackson"
JARS = ":".join(
    f"{M2}/{jar}.jar"
    for jar in (
        "core/jackson-annotations/2.17.1/jackson-annotations-2.17.1",
        "core/jackson-core/2.17.2/jackson-core-2.17.2",
        "core/jackson-databind/2.17.2/jackson-databind-2.17.2",
        "datatype/jackson-datatype-jsr310/2.17.1/jackson-datatype-jsr310-2.17.1",
    )
)
DIR = Path(tempfile.gettempdir()) / "jobctl-producers"


def sh(*argv: str, input: str | None = None, env: dict[str, str] | None = None) -> bytes:
    environment = {**os.environ, "TZ": ZONE, "LC_ALL": "C.UTF-8", **(env or {})}
    done = subprocess.run(
        argv, input=input.encode() if input else None, stdout=-1, stderr=-1, env=environment
    )
    if done.returncode:
        raise SystemExit(f"{argv}: {done.stderr.decode()}")
    return done.stdout


# -- compiled programs, whose argument chooses the expression -----------------------------------

JAVA = """
import com.fasterxml.jackson.databind.*;
import com.fasterxml.jackson.datatype.jsr310.JavaTimeModule;
import java.time.*; import java.time.temporal.ChronoUnit; import java.text.SimpleDateFormat;
import java.util.*;
public class Produce {
  public static void main(String[] a) throws Exception {
    ObjectMapper m = new ObjectMapper().registerModule(new JavaTimeModule());
    Map<String, Object> job = new LinkedHashMap<>();
    job.put("stage", "load");
    Object now = null;
    switch (a[0]) {
      case "date": now = new Date(); break;
      case "instant": now = Instant.now(); break;
      case "local": now = LocalDateTime.now(); break;
      case "zoned": now = ZonedDateTime.now(); break;
      case "local-string": now = LocalDateTime.now().toString(); break;
      case "zoned-string": now = ZonedDateTime.now().toString(); break;
      case "date-string": now = new Date().toString(); break;
      case "minutes":
        now = OffsetDateTime.now(ZoneOffset.UTC).truncatedTo(ChronoUnit.MINUTES).toString(); break;
      case "simple": now = new SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ssZ").format(new Date()); break;
      case "careful": now = Instant.now().truncatedTo(ChronoUnit.MILLIS).toString(); break;
    }
    job.put("createdAt", now); job.put("updatedAt", now);
    double p = 0; for (int i = 0; i < 6; i++) p += 100.0 / 6;
    job.put("progress", p);
    System.out.print(m.writeValueAsString(job));
  }
}
"""
GO = """
package main
import ("encoding/json"; "fmt"; "os"; "time")
type Job struct {
  Stage string `json:"stage"`; CreatedAt any `json:"createdAt"`; UpdatedAt any `json:"updatedAt"`
  CompletedAt time.Time `json:"completedAt"`; Progress float64 `json:"progress"`
}
func main() {
  p := 0.0
  for i := 0; i < 6; i++ { p += 100.0 / 6 }
  now := time.Now()
  job := Job{Stage: "load", CreatedAt: now, UpdatedAt: now, Progress: p}
  switch os.Args[1] {
  case "string": job.CreatedAt, job.UpdatedAt = now.String(), now.String()
  case "unix": job.CreatedAt, job.UpdatedAt = now.Unix(), now.UnixNano()
  case "careful":
    text := now.UTC().Format("2006-01-02T15:04:05.000Z07:00")
    job.CreatedAt, job.UpdatedAt = text, text
  }
  data, _ := json.Marshal(job)
  fmt.Print(string(data))
}
"""
HASKELL = """
{-# LANGUAGE OverloadedStrings #-}
import Data.Aeson
import Data.Time
import Data.Time.Format.ISO8601
import System.Environment
import qualified Data.ByteString.Lazy as B
main = do
  [kind] <- getArgs
  utc <- getCurrentTime
  local <- getZonedTime
  let p = sum (replicate 6 (100 / 6 :: Double))
      put t = B.putStr (encode (object
        ["stage" .= ("load" :: String), "createdAt" .= t, "updatedAt" .= t, "progress" .= p]))
      text s = put (s :: String)
  case kind of
    "utc" -> put utc
    "zoned" -> put local
    "local" -> put (zonedTimeToLocalTime local)
    "show" -> text (show utc)
    "show-zoned" -> text (show local)
    "picoseconds" -> text (formatTime defaultTimeLocale "%Y-%m-%dT%H:%M:%S.%12qZ" utc)
    _ -> text (formatTime defaultTimeLocale "%Y-%m-%dT%H:%M:%S.%3qZ" utc)
"""
CSHARP = """
using System; using System.Collections.Generic; using System.Web.Script.Serialization;
class Produce { static void Main(string[] a) {
  object now = null;
  switch (a[0]) {
    case "u": now = DateTime.UtcNow.ToString("u"); break;
    case "s": now = DateTime.Now.ToString("s"); break;
    case "serializer": now = DateTime.Now; break;
    default: now = DateTime.UtcNow.ToString("o"); break;
  }
  double p = 0; for (int i = 0; i < 6; i++) p += 100.0 / 6;
  Console.Write(new JavaScriptSerializer().Serialize(new Dictionary<string, object> {
    {"stage", "load"}, {"createdAt", now}, {"updatedAt", now}, {"progress", p}}));
} }
"""


def build() -> None:
    DIR.mkdir(exist_ok=True)
    (DIR / "Produce.java").write_text(JAVA)
    sh("javac", "-cp", JARS, "-d", str(DIR), str(DIR / "Produce.java"))
    (DIR / "main.go").write_text(GO)
    sh("go", "build", "-o", str(DIR / "go"), str(DIR / "main.go"), env={"GO111MODULE": "off"})
    (DIR / "Main.hs").write_text(HASKELL)
    sh("ghc", "-v0", "-outputdir", str(DIR), "-o", str(DIR / "haskell"), str(DIR / "Main.hs"))
    (DIR / "produce.cs").write_text(CSHARP)
    sh("mcs", "-r:System.Web.Extensions", f"-out:{DIR}/produce.exe", str(DIR / "produce.cs"))


# -- the rows -------------------------------------------------------------------------------


def python(now: str) -> list[str]:
    return [sys.executable, "-c", (
        "from datetime import *; import json, time\n"
        f"t = {now}\n"
        "print(json.dumps({'stage': 'load', 'createdAt': t, 'updatedAt': t,"
        " 'progress': sum([100 / 6] * 6)}))"
    )]  # fmt: skip


def node(now: str) -> list[str]:
    return ["node", "-e", (
        f"const t = {now}; let p = 0; for (let i = 0; i < 6; i++) p += 100 / 6;"
        "process.stdout.write(JSON.stringify({stage: 'load', createdAt: t, updatedAt: t,"
        " progress: p}))"
    )]  # fmt: skip


def ruby(now: str) -> list[str]:
    return ["ruby", "-rjson", "-rtime", "-e", (
        f"t = {now}; print({{stage: 'load', createdAt: t, updatedAt: t,"
        " progress: ([100 / 6.0] * 6).sum, retryCount: nil}.to_json)"
    )]  # fmt: skip


def php(now: str, more: str = "") -> list[str]:
    return ["php", "-r", (
        f"$t = {now}; $p = 0; for ($i = 0; $i < 6; $i++) $p += 100 / 6;"
        f"echo json_encode(['stage' => 'load', 'createdAt' => $t, 'updatedAt' => $t, {more}"
        " 'progress' => $p]);"
    )]  # fmt: skip


def perl(now: str) -> list[str]:
    return ["perl", "-MJSON::PP", "-MPOSIX=strftime", "-e", (
        f"my $t = {now}; my $p = 0; $p += 100 / 6 for 1 .. 6;"
        "print encode_json({stage => 'load', createdAt => $t, updatedAt => $t, progress => $p})"
    )]  # fmt: skip


def lua(now: str) -> list[str]:
    return ["lua5.4", "-e", (
        f"local t = {now}; local p = 0; for i = 1, 6 do p = p + 100 / 6 end;"
        "io.write(require('cjson').encode({stage = 'load', createdAt = t, updatedAt = t,"
        " progress = p}))"
    )]  # fmt: skip


def r(now: str, unbox: str, more: str = "") -> list[str]:
    return ["Rscript", "-e", (
        f"t <- {now}; cat(jsonlite::toJSON(list(stage='load', createdAt=t, updatedAt=t,"
        f" {more} progress=sum(rep(100/6, 6))){unbox}))"
    )]  # fmt: skip


def octave(now: str, more: str = "", option: str = "") -> list[str]:
    return ["octave-cli", "--norc", "--eval", (
        f"t = {now}; j.stage = 'load'; j.createdAt = t; j.updatedAt = t;"
        f" j.progress = sum(repmat(100/6, 1, 6)); {more} printf('%s', jsonencode(j{option}))"
    )]  # fmt: skip


def gawk(now: str) -> list[str]:
    return ["gawk", (
        f"BEGIN {{ t = {now}; for (i = 0; i < 6; i++) p += 100 / 6;"
        ' printf "{\\"stage\\": \\"load\\", \\"createdAt\\": \\"%s\\", \\"updatedAt\\": \\"%s\\",'
        ' \\"progress\\": %s}\\n", t, t, p }'
    )]  # fmt: skip


def sqlite(now: str) -> list[str]:
    return ["sqlite3", ":memory:", (
        f"select json_object('stage', 'load', 'createdAt', {now}, 'updatedAt', {now},"
        " 'progress', 100.0/6+100.0/6+100.0/6+100.0/6+100.0/6+100.0/6)"
    )]  # fmt: skip


def date(option: str, quoted: bool = True) -> list[str]:
    q = '"' if quoted else ""
    return ["bash", "-c", (
        f"t=$(date {option}); printf '{{\"stage\": \"load\", \"createdAt\": {q}%s{q},"
        f" \"updatedAt\": {q}%s{q}}}\\n' \"$t\" \"$t\""
    )]  # fmt: skip


def jq(now: str) -> list[str]:
    return ["jq", "-n", f'{now} as $t | {{stage: "load", createdAt: $t, updatedAt: $t}}']


def java(kind: str) -> list[str]:
    return ["java", "-cp", f"{JARS}:{DIR}", "Produce", kind]


def postgres(now: str) -> list[str]:
    return ["psql", "-h", os.environ.get("PGHOST", ""), "-U", "postgres", "-At", "-c", (
        f"set timezone = '{ZONE}'; select json_build_object('stage', 'load', 'createdAt', {now},"
        f" 'updatedAt', {now})"
    ), "-q"]  # fmt: skip


SECOND, MINUTE = 1000, 60_000
Row = tuple[str, str, str, list[str], str, int]
UTC, LOCAL, KNOWN = "UTC", "UTC+01:00", ""

# producer, kind, expression, command, zone that must be guessed, precision in ms
ROWS: list[Row] = [
    ("Python", "default", "datetime.now().isoformat()", python("datetime.now().isoformat()"), LOCAL, 1),
    ("Python", "default", "str(datetime.now())", python("str(datetime.now())"), LOCAL, 1),
    ("Python", "default", "datetime.utcnow().isoformat()", python("datetime.utcnow().isoformat()"), UTC, 1),
    ("Python", "default", "time.time()", python("time.time()"), KNOWN, 1),
    ("Python", "default", "time.time_ns()", python("time.time_ns()"), KNOWN, 1),
    ("Python", "default", "time.ctime()", python("time.ctime()"), LOCAL, SECOND),
    ("Python", "default", "astimezone().strftime('%Y-%m-%dT%H:%M:%S%z')", python("datetime.now().astimezone().strftime('%Y-%m-%dT%H:%M:%S%z')"), KNOWN, SECOND),
    ("Python", "careful", "datetime.now(timezone.utc).isoformat()", python("datetime.now(timezone.utc).isoformat()"), KNOWN, 1),
    ("Node.js", "default", "Date.now()", node("Date.now()"), KNOWN, 1),
    ("Node.js", "default", "String(new Date())", node("String(new Date())"), KNOWN, SECOND),
    ("Node.js", "careful", "new Date()", node("new Date()"), KNOWN, 1),
    ("Ruby", "default", "Time.now", ruby("Time.now"), KNOWN, SECOND),
    ("Ruby", "default", "Time.now.utc", ruby("Time.now.utc"), KNOWN, SECOND),
    ("Ruby", "default", "Time.now.to_f", ruby("Time.now.to_f"), KNOWN, 1),
    ("Ruby", "default", "DateTime.now", ruby("DateTime.now"), KNOWN, SECOND),
    ("Ruby", "careful", "Time.now.utc.iso8601(3)", ruby("Time.now.utc.iso8601(3)"), KNOWN, 1),
    ("PHP", "default", "date(DATE_ISO8601)", php("date(DATE_ISO8601)", "'error' => [], 'sessionId' => 42,"), KNOWN, SECOND),
    ("PHP", "default", "date('Y-m-d H:i:s')", php("date('Y-m-d H:i:s')"), UTC, SECOND),
    ("PHP", "default", "new DateTime()", php("new DateTime()"), KNOWN, 1),
    ("PHP", "default", "new DateTime() in Berlin", ["php", "-d", "date.timezone=Europe/Berlin", *php("new DateTime()")[1:]], KNOWN, 1),
    ("PHP", "default", "date(DATE_RFC2822)", php("date(DATE_RFC2822)"), KNOWN, SECOND),
    ("PHP", "careful", "date(DATE_RFC3339_EXTENDED)", php("date(DATE_RFC3339_EXTENDED)"), KNOWN, SECOND),
    ("Perl", "default", "scalar localtime", perl("scalar localtime"), LOCAL, SECOND),
    ("Perl", "default", "time", perl("time"), KNOWN, SECOND),
    ("Perl", "careful", "strftime('%Y-%m-%dT%H:%M:%SZ', gmtime)", perl("strftime('%Y-%m-%dT%H:%M:%SZ', gmtime)"), KNOWN, SECOND),
    ("Lua", "default", "os.date()", lua("os.date()"), LOCAL, SECOND),
    ("Lua", "default", "os.time()", lua("os.time()"), KNOWN, SECOND),
    ("Lua", "careful", "os.date('!%Y-%m-%dT%H:%M:%SZ')", lua("os.date('!%Y-%m-%dT%H:%M:%SZ')"), KNOWN, SECOND),
    ("R jsonlite", "default", "Sys.time()", r("Sys.time()", ""), LOCAL, SECOND),
    ("R jsonlite", "default", "Sys.time(), auto_unbox", r("Sys.time()", ", auto_unbox=TRUE", "stages='load', retryCount=NA,"), LOCAL, SECOND),
    ("R jsonlite", "default", "as.numeric(Sys.time())", r("as.numeric(Sys.time())", ", digits=NA"), KNOWN, SECOND),
    ("R jsonlite", "careful", "Sys.time(), auto_unbox, UTC, POSIXt='ISO8601'", r("as.POSIXct(Sys.time(), tz='UTC')", ", auto_unbox=TRUE, POSIXt='ISO8601', UTC=TRUE"), KNOWN, SECOND),
    ("Octave", "default", "datestr(now)", octave("datestr(now)"), LOCAL, SECOND),
    ("Octave", "default", "time(), ConvertInfAndNaN false", octave("time()", "j.message = NaN;", ", 'ConvertInfAndNaN', false"), KNOWN, SECOND),
    ("Octave", "default", "ctime(time())", octave("strtrim(ctime(time()))"), LOCAL, SECOND),
    ("Octave", "careful", "strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time()))", octave("strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time()))"), KNOWN, SECOND),
    ("gawk", "default", "strftime()", gawk("strftime()"), LOCAL, SECOND),
    ("gawk", "default", "systime()", gawk("systime()"), KNOWN, SECOND),
    ("gawk", "careful", "strftime('%Y-%m-%dT%H:%M:%SZ', systime(), 1)", gawk('strftime("%Y-%m-%dT%H:%M:%SZ", systime(), 1)'), KNOWN, SECOND),
    ("SQLite", "default", "datetime('now')", sqlite("datetime('now')"), UTC, SECOND),
    ("SQLite", "default", "datetime('now', 'localtime')", sqlite("datetime('now', 'localtime')"), LOCAL, SECOND),
    ("SQLite", "default", "strftime('%s', 'now')", sqlite("strftime('%s', 'now')"), KNOWN, SECOND),
    ("SQLite", "careful", "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')", sqlite("strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"), KNOWN, 1),
    ("PostgreSQL", "default", "now()::text", postgres("now()::text"), KNOWN, 1),
    ("PostgreSQL", "default", "localtimestamp::text", postgres("localtimestamp::text"), LOCAL, 1),
    ("PostgreSQL", "careful", "now()", postgres("now()"), KNOWN, 1),
    ("GNU date", "default", "date", date(""), LOCAL, SECOND),
    ("GNU date", "default", "date -Ins", date("-Ins"), KNOWN, 1),
    ("GNU date", "default", "date -Iminutes", date("-Iminutes"), KNOWN, MINUTE),
    ("GNU date", "default", "date --rfc-3339=ns", date("--rfc-3339=ns"), KNOWN, 1),
    ("GNU date", "default", "date -R", date("-R"), KNOWN, SECOND),
    ("GNU date", "default", "date +%s", date("+%s", False), KNOWN, SECOND),
    ("GNU date", "default", "date +%s%N", date("+%s%N", False), KNOWN, 1),
    ("GNU date", "default", "date +%s.%N", date("+%s.%N"), KNOWN, 1),
    ("GNU date", "default", "date +%Y%m%d%H%M%S", date("+%Y%m%d%H%M%S"), LOCAL, SECOND),
    ("GNU date", "careful", "date -u +%FT%T.%3NZ", date("-u +%FT%T.%3NZ"), KNOWN, 1),
    ("jq", "default", "now", jq("now"), KNOWN, 1),
    ("jq", "careful", "now | todate", jq("(now | todate)"), KNOWN, SECOND),
    ("Java Jackson", "default", "new Date()", java("date"), KNOWN, 1),
    ("Java Jackson", "default", "Instant.now(), JavaTimeModule", java("instant"), KNOWN, 1),
    ("Java Jackson", "default", "ZonedDateTime.now(), JavaTimeModule", java("zoned"), KNOWN, 1),
    ("Java Jackson", "default", "LocalDateTime.now(), JavaTimeModule", java("local"), LOCAL, 1),
    ("Java", "default", "LocalDateTime.now().toString()", java("local-string"), LOCAL, 1),
    ("Java", "default", "ZonedDateTime.now().toString()", java("zoned-string"), KNOWN, 1),
    ("Java", "default", "new Date().toString()", java("date-string"), LOCAL, SECOND),
    ("Java", "default", "OffsetDateTime in UTC, whole minutes", java("minutes"), KNOWN, MINUTE),
    ("Java", "default", "SimpleDateFormat yyyy-MM-dd'T'HH:mm:ssZ", java("simple"), KNOWN, SECOND),
    ("Java", "careful", "Instant in milliseconds", java("careful"), KNOWN, 1),
    ("Go", "default", "time.Now()", [f"{DIR}/go", "time"], KNOWN, 1),
    ("Go", "default", "time.Now().String()", [f"{DIR}/go", "string"], KNOWN, 1),
    ("Go", "default", "Unix() and UnixNano()", [f"{DIR}/go", "unix"], KNOWN, SECOND),
    ("Go", "careful", "UTC, milliseconds", [f"{DIR}/go", "careful"], KNOWN, 1),
    ("Haskell aeson", "default", "UTCTime", [f"{DIR}/haskell", "utc"], KNOWN, 1),
    ("Haskell aeson", "default", "ZonedTime", [f"{DIR}/haskell", "zoned"], KNOWN, 1),
    ("Haskell aeson", "default", "LocalTime", [f"{DIR}/haskell", "local"], LOCAL, 1),
    ("Haskell", "default", "show utc", [f"{DIR}/haskell", "show"], KNOWN, 1),
    ("Haskell", "default", "show zoned", [f"{DIR}/haskell", "show-zoned"], LOCAL, 1),
    ("Haskell", "default", "formatTime with 12 digits", [f"{DIR}/haskell", "picoseconds"], KNOWN, 1),
    ("Haskell", "careful", "formatTime with 3 digits", [f"{DIR}/haskell", "careful"], KNOWN, 1),
    ("C# (Mono)", "default", 'DateTime.UtcNow.ToString("u")', ["mono", f"{DIR}/produce.exe", "u"], KNOWN, SECOND),
    ("C# (Mono)", "default", 'DateTime.Now.ToString("s")', ["mono", f"{DIR}/produce.exe", "s"], LOCAL, SECOND),
    ("C# (Mono)", "default", "JavaScriptSerializer", ["mono", f"{DIR}/produce.exe", "serializer"], KNOWN, 1),
    ("C# (Mono)", "careful", 'DateTime.UtcNow.ToString("o")', ["mono", f"{DIR}/produce.exe", "o"], KNOWN, 1),
]  # fmt: skip

VERSIONS = {
    "Python": [sys.executable, "--version"], "Node.js": ["node", "-v"], "Ruby": ["ruby", "-v"],
    "PHP": ["php", "-v"], "Perl": ["perl", "-e", "print $^V"], "Lua": ["lua5.4", "-v"],
    "R jsonlite": ["Rscript", "-e", "cat(R.version.string, ', jsonlite ', as.character(packageVersion('jsonlite')), sep='')"],
    "Octave": ["octave-cli", "--version"], "gawk": ["gawk", "--version"],
    "SQLite": ["sqlite3", "--version"], "PostgreSQL": ["psql", "--version"],
    "GNU date": ["date", "--version"], "jq": ["jq", "--version"],
    "Java Jackson": ["bash", "-c", "java --version | head -1; echo ', Jackson 2.17'"],
    "Java": ["java", "--version"], "Go": ["go", "version"], "Haskell": ["ghc", "--version"],
    "Haskell aeson": ["bash", "-c", "ghc --version; echo ', aeson 2.0.3.0'"],
    "C# (Mono)": ["mono", "--version"],
}  # fmt: skip


def make(row: Row) -> dict[str, Any]:
    producer, kind, expression, command, zone, precision_ms = row
    path = DIR / "x.json"
    before = time.time()
    path.write_bytes(sh(*command))
    after = time.time()
    lines = sh(*VERSIONS[producer]).decode().splitlines()
    return {
        "producer": producer,
        "version": " ".join(
            lines[:2] if producer.startswith(("Java J", "Haskell a")) else lines[:1]
        ),
        "kind": kind,
        "expression": expression,
        "data": path.read_bytes().decode("latin-1"),
        "mtimeMs": path.stat().st_mtime_ns // 10**6,
        "after": int(before * 1000) - precision_ms,
        "before": int(after * 1000) + 1,
        "zone": zone or None,
    }


# Programs that cannot be had here. The forms are those of their manuals, at one given time.
GIVEN_MS = 1_795_844_080_123
DOCUMENTED: list[tuple[str, str, str, str, str]] = [
    ("Julia", "default", "JSON.json of string(now())", "2026-11-28T06:34:40.123", LOCAL),
    ("Julia", "default", "string(now(UTC))", "2026-11-28T05:34:40.123", UTC),
    ("Dart", "default", "DateTime.now().toIso8601String()", "2026-11-28T06:34:40.123456", LOCAL),
    ("Dart", "careful", "DateTime.now().toUtc().toIso8601String()", "2026-11-28T05:34:40.123456Z", KNOWN),
    (".NET System.Text.Json", "default", "DateTime.Now", "2026-11-28T06:34:40.1234567+01:00", KNOWN),
    (".NET System.Text.Json", "careful", "DateTime.UtcNow", "2026-11-28T05:34:40.1234567Z", KNOWN),
]  # fmt: skip


def documented(producer: str, kind: str, expression: str, text: str, zone: str) -> dict[str, Any]:
    data = json.dumps({"stage": "load", "createdAt": text, "updatedAt": text})
    return {
        "producer": producer, "version": "as documented", "kind": kind, "expression": expression,
        "data": data, "mtimeMs": GIVEN_MS + 5, "after": GIVEN_MS, "before": GIVEN_MS,
        "zone": zone or None,
    }  # fmt: skip


if __name__ == "__main__":
    build()
    table = [make(row) for row in ROWS] + [documented(*row) for row in DOCUMENTED]
    lines = [json.dumps(row) for row in table]
    TABLE.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    for row in table:
        print(row["producer"], "|", row["expression"], "|", row["data"].strip())
