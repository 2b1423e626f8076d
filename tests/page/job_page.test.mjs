// The pure parts of a job's page and of the notices.

import assert from "node:assert/strict";
import test from "node:test";
import { classesOf, PLAIN, split } from "../../jobctl/page/dashboard/ansi.js";
import { Endings } from "../../jobctl/page/dashboard/endings.js";
import {
  argvOf, commandsOf, hubUrl, isId, isLocal, quote, sessionHref, sizeText,
} from "../../jobctl/page/dashboard/facts.js";
import { Lines, MAX_LINES } from "../../jobctl/page/dashboard/log.js";
import { iconOf, titleOf } from "../../jobctl/page/dashboard/tab.js";
import { Tells } from "../../jobctl/page/dashboard/tells.js";
import { attemptsOf, placeOf, scaleOf, ticksOf, timelineOf } from "../../jobctl/page/dashboard/timeline.js";

const START = Date.UTC(2026, 10, 28, 12), NOW = START + 100000;
const at = (seconds) => new Date(START + 1000 * seconds).toISOString();
const entry = (stage, seconds, more = {}) => ({ stage, at: at(seconds), ...more });

function job(stage, history, more = {}) {
  return {
    id: "a1", type: "etl", stage, retryCount: 0, createdAt: at(0), updatedAt: at(50), stageStartedAt: null,
    completedAt: null, error: null, history, derived: { active: !["completed", "failed"].includes(stage), lost: false }, ...more,
  };
}

const seconds = (ms) => (ms - START) / 1000;
const spansOf = ({ spans }) => spans.map(({ stage, fromMs, toMs }) => [stage, seconds(fromMs), seconds(toMs)]);

// -- the timeline ---------------------------------------------------------------------------------

test("a running job's last stage lasts until now", () => {
  const [attempt, ...more] = attemptsOf(job("load", [entry("pending", 0), entry("fetch", 5), entry("load", 20)]), NOW);
  assert.deepEqual(more, []);
  assert.deepEqual(spansOf(attempt), [["pending", 0, 5], ["fetch", 5, 20], ["load", 20, 100]]);
  assert.deepEqual([attempt.number, attempt.outcome, seconds(attempt.endedMs)], [1, "", 100]);
});

test("each attempt begins with its pending stage, and has its outcome", () => {
  const history = [
    entry("pending", 0), entry("fetch", 1), entry("failed", 11), entry("pending", 30), entry("fetch", 31), entry("completed", 36),
  ];
  const attempts = attemptsOf(job("completed", history, { retryCount: 1, completedAt: at(36), stageStartedAt: at(36) }), NOW);
  assert.deepEqual(attempts.map(({ number, outcome }) => [number, outcome]), [[1, "failed"], [2, "completed"]]);
  assert.deepEqual(spansOf(attempts[0]), [["pending", 0, 1], ["fetch", 1, 11]]);
  assert.deepEqual(spansOf(attempts[1]), [["pending", 30, 31], ["fetch", 31, 36]]);
  assert.equal(scaleOf(attempts), 11000);
  assert.deepEqual(placeOf(attempts[1].spans[1], attempts[1], 11000), { start: 1 / 11, size: 5 / 11 });
});

test("a cut history numbers its attempts from the present one", () => {
  const history = [entry("fetch", 1), entry("failed", 2), entry("pending", 3), entry("fetch", 4)];
  const attempts = attemptsOf(job("fetch", history, { retryCount: 7, stageStartedAt: at(4) }), NOW);
  assert.deepEqual(attempts.map(({ number }) => number), [7, 8]);
});

test("a stage that another program entered is the last one", () => {
  const moved = job("load", [entry("pending", 0), entry("fetch", 5)], { stageStartedAt: at(40), updatedAt: at(40) });
  assert.deepEqual(timelineOf(moved, NOW).map(({ stage, atMs }) => [stage, seconds(atMs)]), [["pending", 0], ["fetch", 5], ["load", 40]]);
});

test("a job without history has the stages that its times tell", () => {
  const plain = job("fetch", undefined, { stageStartedAt: at(10) });
  assert.deepEqual(spansOf(attemptsOf(plain, NOW)[0]), [["pending", 0, 10], ["fetch", 10, 100]]);
  assert.deepEqual(spansOf(attemptsOf(job("pending", null), NOW)[0]), [["pending", 0, 100]]);
});

test("odd histories make no odd bars", () => {
  for (const history of ["x", [null, 3, {}], [{ stage: "pending", at: "soon" }], [entry("load", 90), entry("load", 10)]]) {
    const attempts = attemptsOf(job("load", history, { stageStartedAt: at(50) }), NOW);
    assert.ok(attempts.length > 0);
    for (const attempt of attempts) {
      for (const span of attempt.spans) {
        const place = placeOf(span, attempt, scaleOf(attempts));
        if (place) assert.ok(place.start >= 0 && place.start <= 1 && place.size >= 0 && place.size <= 1, JSON.stringify(place));
      }
    }
  }
});

test("a cancelled and a lost job say so", () => {
  const history = [entry("pending", 0), entry("fetch", 5), entry("failed", 9)];
  const cancelled = job("failed", history, { cancelled: { by: "ada" }, updatedAt: at(9), stageStartedAt: at(9) });
  assert.equal(attemptsOf(cancelled, NOW)[0].outcome, "cancelled");
  const lost = job("fetch", history.slice(0, 2), { derived: { active: true, lost: true } });
  assert.equal(attemptsOf(lost, NOW)[0].outcome, "lost");
});

test("the axis has a few round times", () => {
  assert.deepEqual(ticksOf(23000), [5000, 10000, 15000, 20000]);
  assert.deepEqual(ticksOf(1), []);
  for (let scale = 1; scale < 1e15; scale *= 3) assert.ok(ticksOf(scale).length <= 5, `${scale}`);
});

// -- facts and commands ---------------------------------------------------------------------------

test("words are quoted for a shell", () => {
  assert.equal(quote("data/jobs"), "data/jobs");
  assert.equal(quote("my jobs"), "'my jobs'");
  assert.equal(quote(""), "''");
  assert.equal(quote("it's $HOME"), `'it'"'"'s $HOME'`);
  assert.equal(quote("~"), "'~'");
});

test("only http and https links are made of a session", () => {
  assert.equal(sessionHref("https://app.example/s/{id}?a={id}", "a/b c"), "https://app.example/s/a%2Fb%20c?a=a%2Fb%20c");
  for (const id of [null, "", ".", "..", 7, "\ud800"]) assert.equal(sessionHref("https://app.example/s/{id}/x", id), null);
  assert.equal(sessionHref(null, "a"), null);
  assert.equal(sessionHref("javascript:alert('{id}')", "a"), null);
  assert.equal(new URL(sessionHref("https://app.example/s/{id}", "../../evil")).pathname, "/s/..%2F..%2Fevil");
});

const HERE = { place: "/srv/my jobs", url: "ws://127.0.0.1:8765", local: true, readOnly: false };
const lines = (record, where = HERE) => commandsOf(record, where).map(({ line }) => line);

test("commands name the directory on this machine, and the hub elsewhere", () => {
  const running = job("load", []);
  assert.deepEqual(lines(running), [
    "jobctl show a1 --dir '/srv/my jobs'", "jobctl wait a1 --dir '/srv/my jobs'", "jobctl cancel a1 --dir '/srv/my jobs'",
  ]);
  assert.equal(lines(running, { ...HERE, local: false })[0], "jobctl show a1 --url ws://127.0.0.1:8765");
  assert.equal(commandsOf(running, { ...HERE, local: false }).at(-1).there, true);
  assert.deepEqual(lines(running, { ...HERE, place: null }), [
    "jobctl show a1 --url ws://127.0.0.1:8765", "jobctl wait a1 --url ws://127.0.0.1:8765",
  ]);
  const remote = { ...HERE, local: false, can: ["view", "operate"] };
  assert.deepEqual(commandsOf(running, remote).at(-1), { what: "Cancel it", line: "jobctl cancel a1 --url ws://127.0.0.1:8765", there: false });
  assert.equal(lines(job("failed", []), { ...remote, place: null }).at(-1), "jobctl retry a1 --url ws://127.0.0.1:8765");
  assert.equal(lines(running, { ...remote, local: true }).at(-1), "jobctl cancel a1 --dir '/srv/my jobs'");
  assert.equal(lines(running, { ...HERE, readOnly: true }).some((line) => line.includes("cancel")), false);
});

test("a failed command is run again, other failed jobs are retried, a lost one is reaped", () => {
  const failed = job("failed", [], { run: { argv: ["make", "a b"], exact: true } });
  assert.deepEqual(lines(failed).slice(1), ["jobctl logs a1 --dir '/srv/my jobs'", "jobctl retry --rerun a1 --dir '/srv/my jobs'"]);
  assert.equal(argvOf(failed), "make 'a b'");
  assert.equal(lines(job("failed", [], { run: { exact: false } })).at(-1), "jobctl retry a1 --dir '/srv/my jobs'");
  assert.equal(lines(job("failed", [])).at(-1), "jobctl retry a1 --dir '/srv/my jobs'");
  assert.equal(lines(job("load", [], { derived: { lost: true } })).at(-1), "jobctl reap --dir '/srv/my jobs'");
  assert.equal(argvOf(job("failed", [], { run: "make" })), "");
});

test("the address of the hub is that of the page", () => {
  const page = (url) => new URL(url);
  assert.equal(hubUrl(page("http://127.0.0.1:8765/jobs/a"), "/ws/jobs"), "ws://127.0.0.1:8765");
  assert.equal(hubUrl(page("https://jobs.example/base/"), "/base/ws/jobs"), "wss://jobs.example/base/ws/jobs");
  for (const url of ["http://localhost:1/", "http://127.0.0.1/", "http://[::1]:8/", "http://a.localhost/"]) assert.ok(isLocal(page(url)), url);
  for (const url of ["http://localhost.example/", "http://127.0.0.1.example/", "http://10.0.0.1/"]) assert.ok(!isLocal(page(url)), url);
});

test("ids are those that the store takes", () => {
  for (const id of ["a", "constructor", "A.b-c_9", "x".repeat(64)]) assert.ok(isId(id), id);
  for (const id of ["", "__proto__", ".a", "-a", "a b", "ä", "x".repeat(65), "a/b"]) assert.ok(!isId(id), id);
});

test("sizes are as the CLI has them", () => {
  assert.deepEqual([0, 999, 1000, 3_200_000, 250e6, 2e15, NaN].map(sizeText),
    ["0 bytes", "999 bytes", "1.0 kB", "3.2 MB", "250 MB", "2000 TB", ""]);
});

// -- the log --------------------------------------------------------------------------------------

test("colours become styles, and go on in the next line", () => {
  const first = split("a\x1b[31;1mred");
  assert.deepEqual(first.pieces.map(({ text, style }) => [text, classesOf(style)]), [["a", ""], ["red", "sgr-red sgr-bold"]]);
  assert.deepEqual(split("still\x1b[mplain", first.style).pieces.map(({ text, style }) => [text, classesOf(style)]),
    [["still", "sgr-red sgr-bold"], ["plain", ""]]);
  assert.deepEqual(split("\x1b[38;5;31mx\x1b[48;2;1;2;31my").style, PLAIN);
  assert.deepEqual(split("cut \x1b[3").pieces, [{ text: "cut \x1b[3", style: PLAIN }]);
});

test("lines come whole however the text is cut, and the newest stay", () => {
  const text = "one\n\ntwo\nthree";
  for (let size = 1; size <= text.length; size++) {
    const lines = new Lines(), found = [];
    for (let from = 0; from < text.length; from += size) found.push(...lines.take(text.slice(from, from + size)));
    assert.deepEqual([...found, lines.open], ["one", "", "two", "three"], `cut into ${size}`);
  }
  const many = new Lines(3);
  assert.deepEqual(many.take("1\n2\n3\n4\n5\n6"), ["3", "4", "5"]);
  assert.equal(many.left, 2);
  assert.ok(MAX_LINES <= 5000);
});

test("a very long line is shown in part, and costs no more", () => {
  const lines = new Lines();
  for (let piece = 0; piece < 1000; piece++) lines.take("x".repeat(1000));
  assert.match(lines.open, /^x{4000} … 996000 more characters$/);
  assert.deepEqual(lines.take("\nnext\n").slice(1), ["next"]);
});

// -- notices --------------------------------------------------------------------------------------

const change = (jobs, more = {}) => ({ jobs, gone: [], why: undefined, ...more });
const ended = (id, seconds, more = {}) => ({ ...job("failed", []), id, updatedAt: at(seconds), stageStartedAt: at(seconds), ...more });
const running = (id, more = {}) => ({ ...job("load", []), id, ...more });

function opened(jobs) {
  const endings = new Endings();
  assert.deepEqual(endings.take(change(jobs), false, () => NOW).ended, []);
  assert.deepEqual(endings.take(change([]), true, () => NOW).ended, []);
  return endings;
}

const idsOf = ({ ended }) => ended.map(({ id }) => id);

test("the first snapshot is no news, and what fails afterwards is, once", () => {
  const endings = opened([ended("old", 5), running("a")]);
  assert.deepEqual(idsOf(endings.take(change([ended("a", 110)]), true, () => NOW)), ["a"]);
  assert.deepEqual(idsOf(endings.take(change([ended("a", 110, { title: "acknowledged" })]), true, () => NOW)), []);
});

test("a resync tells nothing twice, and tells what failed meanwhile", () => {
  const endings = opened([ended("old", 5), running("a"), running("b")]);
  endings.take(change([ended("a", 110)]), true, () => NOW);
  const again = change([ended("old", 5), ended("a", 110), ended("b", 120), ended("new", 130), ended("older", 3)], { reset: true });
  assert.deepEqual(idsOf(endings.take(again, true, () => NOW + 60000)), ["b", "new"]);
});

test("the next attempt may fail again, and one that completes is no news", () => {
  const endings = opened([ended("a", 5)]);
  assert.deepEqual(idsOf(endings.take(change([running("a", { retryCount: 1 })]), true, () => NOW)), []);
  assert.deepEqual(idsOf(endings.take(change([ended("a", 120, { retryCount: 1 })]), true, () => NOW)), ["a"]);
  assert.deepEqual(idsOf(endings.take(change([{ ...job("completed", []), id: "c", completedAt: at(130) }]), true, () => NOW)), []);
});

test("active jobs that leave the view are asked about, removed ones are not", () => {
  const endings = opened([running("a"), running("b")]);
  const { left } = endings.take(change([], { gone: ["a", "b"], why: { a: "filtered", b: "removed" } }), true, () => NOW);
  assert.deepEqual(left, ["a"]);
});

test("title and icon tell the counts", () => {
  assert.equal(titleOf({ active: 3, failed: 2 }, null), "3 active, 2 failed · Jobs");
  assert.equal(titleOf({ active: 0, failed: 0 }, "Nightly load"), "Nightly load");
  const icon = (counts) => decodeURIComponent(iconOf({ active: 0, failed: 0, live: true, ...counts }));
  assert.match(icon({ active: 7 }), />7<\/text>/);
  assert.match(icon({ active: 12345 }), />99<\/text>/);
  assert.ok(icon({ failed: 1 }).includes("circle") && !icon({}).includes("circle"));
  assert.notEqual(icon({ active: 7 }), icon({ active: 7, live: false }));
});

function fakeStorage(initial) {
  const held = new Map(Object.entries(initial ?? {}));
  return { getItem: (key) => held.get(key) ?? null, setItem: (key, text) => held.set(key, text), held };
}

test("what is to be told outlives a reload, is bounded and gets old", () => {
  const storage = fakeStorage();
  let now = NOW;
  const tells = new Tells("", storage, () => now);
  for (let number = 0; number < 60; number++) tells.add(`job${number}`);
  assert.equal(new Tells("", storage, () => now).size, 50);
  assert.ok(new Tells("", storage, () => now).has("job59"));
  assert.equal(new Tells("/other", storage, () => now).size, 0);
  now += 8 * 86400000;
  assert.equal(new Tells("", storage, () => now).size, 0);
});

test("two tabs tell it once, and a broken storage does no harm", () => {
  const storage = fakeStorage(), one = new Tells("", storage), other = new Tells("", storage);
  one.add("a");
  assert.ok(new Tells("", storage).has("a"));
  assert.equal(other.take("a"), true);
  assert.equal(one.take("a"), false);
  for (const text of ["{", "3", '[["a"]]', "[null]"]) assert.equal(new Tells("", fakeStorage({ "jobctl.tell:": text })).size, 0, text);
  const full = { getItem: () => null, setItem: () => { throw new Error("full"); } };
  const kept = new Tells("", full);
  kept.add("a");
  assert.ok(kept.has("a"));
  assert.ok(kept.take("a"));
});
