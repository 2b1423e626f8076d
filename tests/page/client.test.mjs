// The browser's client, played by a clock, a page and sockets of the test.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";
import {
  JobError, TRANSITIONS, beganMs, connect, endedMs, enteredMs, isAcknowledged, isRecordedAttempt, isStalled,
  lastStage, movedByOthers, startOfSha256,
} from "../../jobctl/page/client.js";
import { FakeClock, FakePage, delta, fakeSockets, job, settled } from "./fakes.mjs";

async function opened(options = {}) {
  const clock = new FakeClock(), page = new FakePage(), WebSocket = fakeSockets();
  const changes = [];
  const jobs = connect({
    clock, window: page, WebSocket, onchange: (_, change) => changes.push(change), ...options,
  });
  await settled();
  return { clock, page, WebSocket, jobs, changes };
}

async function live(options = {}) {
  const all = await opened(options);
  all.WebSocket.last.open();
  all.WebSocket.last.say(delta(0, 2, [job("a", 1), job("b", 2)]));
  return all;
}

// -- the state machine ----------------------------------------------------------------------------

const EVENTS = ["start", "message", "lost", "refused", "due", "wake", "hide", "stop"];
const CELLS = {
  //           start         message  lost      refused  due           wake      hide       stop
  idle:       ["connecting", "idle",  "idle",   "idle",  "idle",       "idle",   "idle",    "idle"],
  connecting: ["connecting", "open",  "closed", "error", "connecting", "connecting", "resting", "idle"],
  open:       ["open",       "open",  "closed", "error", "open",       "open",   "resting", "idle"],
  closed:     ["connecting", "closed", "closed", "closed", "connecting", "closed", "resting", "idle"],
  resting:    ["connecting", "resting", "resting", "resting", "resting", "closed", "resting", "idle"],
  error:      ["connecting", "error", "error",  "error", "error",      "error",  "error",   "idle"],
};

const REACH = {
  idle: async () => {
    const all = await live();
    all.jobs.close();
    return all;
  },
  connecting: opened,
  open: live,
  closed: async () => {
    const all = await live();
    all.WebSocket.last.end();
    return all;
  },
  resting: async () => {
    const all = await live();
    all.page.show("hidden");
    for (let seconds = 0; seconds < 300; seconds += 5) {
      await all.clock.pass(5000);
      all.WebSocket.last.say({ type: "jobs:pong", at: all.clock.now(), now: "x" });
    }
    return all;
  },
  error: async () => {
    const all = await live();
    all.WebSocket.last.end(4400, "no such filter");
    return all;
  },
};

test("the table names no other state or event", () => {
  assert.deepEqual(Object.keys(TRANSITIONS).sort(), [...Object.keys(CELLS), "rebasing"].sort());
  const named = new Set(Object.values(TRANSITIONS).flatMap(Object.keys));
  assert.deepEqual([...named].sort(), [...EVENTS].sort());
  assert.deepEqual(TRANSITIONS.rebasing, {}, "reserved");
});

for (const [state, row] of Object.entries(CELLS)) {
  for (const [place, event] of EVENTS.entries()) {
    test(`${event} in ${state} leads to ${row[place]}`, async () => {
      const { clock, WebSocket, jobs } = await REACH[state]();
      assert.equal(jobs.status.state, state);
      const sockets = WebSocket.made.length, socket = WebSocket.last;
      jobs._machine.on(event);
      await settled();
      assert.equal(jobs.status.state, row[place]);
      const dialed = row[place] === "connecting" && state !== "connecting";
      assert.equal(WebSocket.made.length, sockets + dialed, "a socket for each dial, and no other");
      const keeps = ["connecting", "open"].includes(row[place]) && !dialed;
      assert.equal(socket.readyState < 3 && !socket.closed, keeps, "no socket is left behind");
      assert.equal(jobs.status.retryAt !== null, row[place] === "closed", "whether it tries again");
      if (["idle", "error"].includes(row[place])) {
        assert.deepEqual(clock.timers, [], "nothing is left to happen");
      }
      assert.equal(jobs.get("a")?.revision, state === "connecting" ? undefined : 1, "jobs stay shown");
    });
  }
}

// -- the way back ---------------------------------------------------------------------------------

test("it asks for what came after its cursor", async () => {
  const { clock, WebSocket, jobs, changes } = await live({ filter: { type: ["a", "b"], active: true } });
  assert.equal(WebSocket.last.subprotocol, "jobctl.v1");
  assert.equal(String(WebSocket.last.url), "ws://hub.example/ws/jobs?type=a&type=b&active=1&digest=1");
  WebSocket.last.end();
  await clock.pass(250);
  assert.equal(WebSocket.last.url.searchParams.get("since"), "e1:2");
  WebSocket.last.open();
  const before = jobs.get("b");
  changes.length = 0;
  WebSocket.last.say(delta(2, 3, [job("a", 3, { stage: "completed" })]));
  assert.deepEqual(changes.at(-1).jobs.map(({ id }) => id), ["a"]);
  assert.equal(jobs.get("b"), before, "what has not changed is the same object");
  assert.equal(jobs.counts.completed, 1);
});

test("the pauses grow, with full jitter, and up to fifteen seconds", async () => {
  const { clock, WebSocket, jobs } = await live();
  const pauses = [];
  clock.chance = 0.9;
  for (let tries = 0; tries < 8; tries++) {
    WebSocket.last.end();
    pauses.push(jobs.status.retryAt - clock.now());
    await clock.pass(pauses.at(-1));
  }
  assert.deepEqual(pauses, [450, 900, 1800, 3600, 7200, 13500, 13500, 13500]);
  clock.chance = 0;
  WebSocket.last.end();
  assert.equal(jobs.status.retryAt - clock.now(), 50, "never at once");
});

test("a socket that opens is not enough to begin anew", async () => {
  const { clock, WebSocket, jobs } = await opened();
  for (const pause of [250, 500, 1000]) {
    WebSocket.last.open();
    WebSocket.last.end();
    assert.equal(jobs.status.retryAt - clock.now(), pause);
    await clock.pass(pause);
  }
  WebSocket.last.open();
  WebSocket.last.say(delta(0, 1, [job("a", 1)]));
  WebSocket.last.end();
  assert.equal(jobs.status.retryAt - clock.now(), 250);
});

test("it comes back when the hub says so", async () => {
  const { clock, WebSocket, jobs } = await live();
  WebSocket.last.end(1001, "retry-after=2.5; the hub stops");
  assert.equal(jobs.status.retryAt - clock.now(), 2500);
  assert.equal(jobs.status.detail, "the hub stops");
  await clock.pass(2500);
  WebSocket.last.end(4029, "retry-after=900; too many");
  assert.equal(jobs.status.retryAt - clock.now(), 30000, "but not in an hour");
});

for (const [what, wake] of Object.entries({
  "the network is back": ({ page }) => page.tell("online"),
  "the page is seen again": ({ page }) => page.show("visible"),
  "the clock jumps": ({ jobs }) => jobs._machine.on("wake"),
})) {
  test(`it does not come back before the hub's time when ${what}`, async () => {
    const all = await live();
    all.WebSocket.last.end(1001, "retry-after=20; the hub stops");
    for (const seconds of [5, 10]) {
      await all.clock.pass(5000);
      wake(all);
      assert.equal(all.jobs.status.retryAt - all.clock.now(), (20 - seconds) * 1000);
    }
    await all.clock.pass(9999);
    assert.equal(all.WebSocket.made.length, 1);
    await all.clock.pass(1);
    assert.equal(all.WebSocket.made.length, 2);
    all.clock.chance = 1;
    all.WebSocket.last.end();
    await all.clock.pass(100);
    wake(all);
    assert.equal(all.jobs.status.retryAt - all.clock.now(), 250, "the hint was for one try");
  });
}

test("a page that rests and wakes does not come back before the hub's time", async () => {
  const { clock, page, WebSocket, jobs } = await live();
  page.show("hidden");
  for (let seconds = 0; seconds < 295; seconds += 5) {
    await clock.pass(5000);
    WebSocket.last.say({ type: "jobs:pong", at: clock.now(), now: "x" });
  }
  WebSocket.last.end(1001, "retry-after=20; the hub stops");
  await clock.pass(5000);
  assert.equal(jobs.status.state, "resting");
  page.show("visible");
  assert.equal(jobs.status.retryAt - clock.now(), 15000);
  clock.time -= 3_600_000; // set back
  jobs._machine.on("wake");
  assert.ok(jobs.status.retryAt - clock.now() <= 30000, "no longer than any hint");
});

test("reconnect() is at once, whatever the hub has said", async () => {
  const { WebSocket, jobs } = await live();
  WebSocket.last.end(1001, "retry-after=20; the hub stops");
  jobs.reconnect();
  await settled();
  assert.equal(WebSocket.made.length, 2);
});

test("an error without a close is a failed try, as Node 20 tells of a refused connection", async () => {
  const { clock, WebSocket, jobs } = await opened();
  WebSocket.last.onerror({});
  await clock.pass(0);
  assert.equal(jobs.status.state, "closed");
  await clock.pass(250);
  WebSocket.last.onerror({});
  WebSocket.last.end(4401, "wrong token");
  await clock.pass(0);
  assert.equal(jobs.status.state, "error", "a close that follows says more");
});

test("no connection within five seconds is a failed try", async () => {
  const { clock, WebSocket, jobs } = await opened();
  await clock.pass(4999);
  assert.equal(jobs.status.state, "connecting");
  await clock.pass(1);
  assert.equal(jobs.status.state, "closed");
  assert.ok(WebSocket.last.closed);
});

test("a hub that loads for long after the socket is open is waited for", async () => {
  const { clock, WebSocket, jobs } = await opened();
  WebSocket.last.open();
  await clock.pass(50000);
  assert.equal(jobs.status.state, "connecting");
  WebSocket.last.say(delta(0, 1, [job("a", 1)]));
  assert.equal(jobs.status.state, "open");
});

for (const wake of ["online", "visible", "pageshow"]) {
  test(`${wake} wakes it: at once, with a little jitter, and the pauses begin anew`, async () => {
    const { clock, page, WebSocket, jobs } = await live();
    clock.chance = 1;
    for (let tries = 0; tries < 5; tries++) {
      WebSocket.last.end();
      await clock.pass(jobs.status.retryAt - clock.now());
    }
    WebSocket.last.end();
    assert.equal(jobs.status.retryAt - clock.now(), 15000);
    clock.chance = 0.4;
    if (wake === "visible") page.show("visible");
    else page.tell(wake, { persisted: true });
    assert.equal(jobs.status.retryAt - clock.now(), 100);
    await clock.pass(100);
    WebSocket.last.end();
    assert.equal(jobs.status.retryAt - clock.now(), 200);
  });
}

test("a page that was loaded anew is no return from the cache", async () => {
  const { clock, page, WebSocket, jobs } = await live();
  WebSocket.last.end();
  const before = jobs.status.retryAt;
  await clock.pass(10);
  page.tell("pageshow", { persisted: false });
  assert.equal(jobs.status.retryAt, before);
});

// -- a silent hub ---------------------------------------------------------------------------------

test("a wake asks an open socket for an answer, and leaves a dead one after two seconds", async () => {
  const { clock, page, WebSocket, jobs } = await live();
  const pings = WebSocket.last.of("jobs:ping").length;
  page.tell("online");
  page.tell("online");
  assert.equal(WebSocket.last.of("jobs:ping").length, pings + 1);
  await clock.pass(1999);
  assert.equal(jobs.status.state, "open");
  await clock.pass(1);
  assert.equal(jobs.status.state, "closed");
});

test("a hub that answers is kept, and a quiet one is asked", async () => {
  const { clock, WebSocket, jobs } = await live();
  for (let seconds = 0; seconds < 600; seconds += 1) {
    await clock.pass(1000);
    const { at } = WebSocket.last.of("jobs:ping").at(-1);
    if (clock.now() - at === 1000) {
      WebSocket.last.say({ type: "jobs:pong", at, now: new Date(clock.now()).toISOString() });
    }
  }
  assert.equal(jobs.status.state, "open");
  assert.equal(WebSocket.made.length, 1);
  assert.ok(WebSocket.last.of("jobs:ping").length >= 30);
});

test("slow timers of a background tab end no healthy connection", async () => {
  const { clock, WebSocket, jobs } = await live({ rest: false });
  // The timers run once a minute; the hub's answer is there before the next one.
  for (let minutes = 0; minutes < 60; minutes++) {
    await clock.pass(60000, { asleep: true });
    const { at } = WebSocket.last.of("jobs:ping").at(-1);
    WebSocket.last.say({ type: "jobs:pong", at, now: new Date(clock.now()).toISOString() });
  }
  assert.equal(jobs.status.state, "open");
  assert.equal(WebSocket.made.length, 1);
});

test("after a sleep it asks before it believes that the hub has gone", async () => {
  const { clock, WebSocket, jobs } = await live();
  await clock.pass(3_600_000, { asleep: true });
  assert.equal(jobs.status.state, "open");
  const { at } = WebSocket.last.of("jobs:ping").at(-1);
  assert.equal(at, clock.now());
  await clock.pass(2000);
  assert.equal(jobs.status.state, "closed", "this one was dead");
});

test("it rests when hidden for five minutes, and goes on when it is seen", async () => {
  const { clock, page, WebSocket, jobs } = await REACH.resting();
  assert.equal(jobs.status.state, "resting");
  const sockets = WebSocket.made.length;
  await clock.pass(3_600_000);
  assert.equal(WebSocket.made.length, sockets);
  page.show("visible");
  await clock.pass(125);
  assert.equal(jobs.status.state, "connecting");
  assert.equal(WebSocket.last.url.searchParams.get("since"), "e1:2");
});

test("a second screen does not rest", async () => {
  const { clock, page, WebSocket, jobs } = await live({ rest: false });
  page.show("hidden");
  for (let seconds = 0; seconds < 900; seconds += 5) {
    await clock.pass(5000);
    WebSocket.last.say({ type: "jobs:pong", at: clock.now(), now: "x" });
  }
  assert.equal(jobs.status.state, "open");
});

// -- jobs -----------------------------------------------------------------------------------------

test("a delta that does not follow ends the connection, and nothing is taken", async () => {
  const { clock, WebSocket, jobs } = await live();
  WebSocket.last.say(delta(5, 6, [job("c", 6)]));
  assert.equal(jobs.status.state, "closed");
  assert.equal(jobs.get("c"), undefined);
  await clock.pass(250);
  assert.equal(WebSocket.last.url.searchParams.get("since"), "e1:2");
  WebSocket.last.open();
  WebSocket.last.say(delta(2, 6, [job("c", 6)], { epoch: "other" }));
  assert.equal(jobs.status.state, "closed");
});

test("what is no JSON ends the connection", async () => {
  const { WebSocket, jobs } = await live();
  WebSocket.last.say("{");
  assert.equal(jobs.status.state, "closed");
});

test("messages of a later hub change nothing", async () => {
  const { WebSocket, jobs, changes } = await live();
  changes.length = 0;
  WebSocket.last.say({ type: "jobs:weather", sun: true });
  assert.equal(jobs.status.state, "open");
  assert.deepEqual(changes, []);
});

test("the old jobs are shown until a reset is complete, and what is as it was stays itself", async () => {
  const { WebSocket, jobs, changes } = await live();
  const [a, b] = [jobs.get("a"), jobs.get("b")];
  changes.length = 0;
  WebSocket.last.say(delta(0, 7, [job("a", 1)], { more: true }));
  assert.equal(jobs.get("b"), b);
  assert.deepEqual(changes.flatMap(({ jobs, gone }) => [...jobs, ...gone]), []);
  WebSocket.last.say(delta(7, 9, [job("c", 9)]));
  assert.equal(jobs.get("a"), a);
  assert.equal(jobs.get("b"), undefined);
  assert.deepEqual([changes.at(-1).gone, changes.at(-1).jobs.map(({ id }) => id)], [["b"], ["c"]]);
  assert.deepEqual(jobs.all().map(({ id }) => id), ["a", "c"]);
});

test("counts are those of the jobs, whatever has happened", async () => {
  const { WebSocket, jobs } = await live();
  const kinds = ["pending", "load", "completed", "failed"];
  let through = 2, seed = 7;
  const next = (limit) => (seed = (seed * 48271) % 2147483647) % limit;
  for (let turn = 0; turn < 300; turn++) {
    const since = through++;
    const id = `j${next(20)}`;
    const cancelled = next(3) === 0 ? { at: null, by: "ada" } : undefined;
    const one = job(id, through, { stage: kinds[next(4)], owner: `o${next(3)}`, cancelled });
    WebSocket.last.say(delta(since, through, next(5) ? [one] : [], { gone: next(5) ? [] : [`j${next(20)}x`, "j3"] }));
    if (turn % 50 === 0) WebSocket.last.say({ type: "jobs:owners", dead: [`o${next(3)}`] });
    const all = jobs.all(), { counts } = jobs;
    const count = (test) => all.filter(test).length;
    assert.equal(counts.total, all.length);
    assert.equal(counts.active, count(({ derived }) => derived.active));
    assert.equal(counts.lost, count(({ derived }) => derived.lost));
    assert.equal(counts.cancelled, count(({ derived }) => derived.cancelled));
    assert.equal(counts.failed, count(({ stage, derived }) => stage === "failed" && !derived.cancelled));
    assert.equal(counts.completed, count(({ stage }) => stage === "completed"));
    assert.equal(counts.pending, count(({ stage, derived }) => stage === "pending" && !derived.lost));
    assert.equal(
      counts.pending + counts.running + counts.lost + counts.completed + counts.failed + counts.cancelled,
      counts.total,
    );
  }
});

test("a job whose worker has died is another object, and lost", async () => {
  const { WebSocket, jobs, changes } = await live();
  WebSocket.last.say(delta(2, 3, [job("c", 3, { owner: "o1" })]));
  const before = jobs.get("c"), a = jobs.get("a");
  WebSocket.last.say({ type: "jobs:owners", dead: ["o2"], more: true });
  assert.equal(jobs.get("c"), before);
  WebSocket.last.say({ type: "jobs:owners", dead: ["o1"] });
  assert.equal(jobs.get("c").derived.lost, true);
  assert.equal(jobs.get("a"), a);
  assert.deepEqual(changes.at(-1).jobs, [jobs.get("c")]);
  WebSocket.last.say({ type: "jobs:owners", dead: [] });
  assert.equal(jobs.get("c").derived.lost, false);
});

test("jobs cannot be changed by mistake, on no level", async () => {
  const { WebSocket, jobs } = await live();
  const history = [{ stage: "load", at: "2026-11-28T10:00:00.000Z" }];
  const whole = { history, progress: { done: 1, total: 2 }, labels: { a: "b" }, result: [[{ deep: [1] }]] };
  WebSocket.last.say(delta(2, 3, [job("a", 3, whole)], { odd: { a: { remarks: ["odd"] } } }));
  const a = jobs.get("a"), values = [a], seen = new Set();
  for (const value of values) {
    if (typeof value !== "object" || value === null) continue;
    seen.add(value);
    assert.ok(Object.isFrozen(value), JSON.stringify(value));
    values.push(...Object.values(value));
  }
  assert.equal(seen.size, 11);
  const nested = `${"[".repeat(60000)}${"]".repeat(60000)}`;
  const text = JSON.stringify(delta(3, 4, [job("a", 4, { result: "deep" })]));
  WebSocket.last.say(text.replace('"deep"', nested));
  assert.equal(jobs.get("a").revision, 4, "values may be nested deeply");
  assert.throws(() => (jobs.get("a").stage = "x"), TypeError);
  assert.throws(() => jobs.all().push(1), TypeError);
});

test("snapshots are the same object until something changes", async () => {
  const { WebSocket, jobs } = await live();
  const before = jobs.getSnapshot();
  assert.equal(jobs.getSnapshot(), before);
  assert.equal(jobs.all(), before.jobs);
  WebSocket.last.say(delta(2, 3, [job("a", 3)]));
  assert.notEqual(jobs.getSnapshot(), before);
  assert.equal(jobs.getSnapshot().jobs.length, 2);
});

test("one listener's fault is not the others'", async () => {
  const { WebSocket, jobs } = await live();
  const seen = [], said = console.error;
  console.error = () => {};
  try {
    jobs.subscribe(() => {
      throw new Error("mine");
    });
    jobs.subscribe(({ jobs }) => seen.push(...jobs.map(({ id }) => id)));
    WebSocket.last.say(delta(2, 3, [job("a", 3)]));
  } finally {
    console.error = said;
  }
  assert.deepEqual(seen, ["a"]);
});

test("a slow iterator gets one change, with the newest of each job", async () => {
  const { WebSocket, jobs } = await live();
  const changes = jobs[Symbol.asyncIterator]();
  const first = changes.next();
  WebSocket.last.say(delta(2, 3, [job("a", 3)]));
  assert.deepEqual((await first).value.jobs.map(({ revision }) => revision), [3]);
  WebSocket.last.say(delta(3, 4, [job("a", 4), job("c", 4)]));
  WebSocket.last.say(delta(4, 6, [job("a", 5)], { gone: ["b", "c"], why: { b: "removed" } }));
  WebSocket.last.say(delta(6, 7, [job("b", 7)]));
  const { value } = await changes.next();
  assert.deepEqual(value.jobs.map(({ id, revision }) => [id, revision]), [["a", 5], ["b", 7]]);
  assert.deepEqual(value.gone, ["c"]);
  assert.deepEqual(value.added, [], "the reader knows b");
  await changes.return();
  assert.equal(jobs._queues.size, 0);
});

test("an iterator begins when it is made, not with the first next()", async () => {
  const { WebSocket, jobs } = await live();
  const changes = jobs[Symbol.asyncIterator](), unused = jobs[Symbol.asyncIterator]();
  WebSocket.last.say(delta(2, 3, [job("c", 3)]));
  WebSocket.last.say(delta(3, 4, [job("c", 4)]));
  const { value } = await changes.next();
  assert.deepEqual([value.added, value.jobs.map(({ revision }) => revision)], [["c"], [4]]);
  const ends = [changes.next(), changes.next()];
  await settled();
  assert.deepEqual(await changes.return("enough"), { value: "enough", done: true });
  assert.deepEqual((await Promise.all(ends)).map(({ done }) => done), [true, true], "nobody waits for ever");
  await unused.return();
  assert.equal(jobs._queues.size, 0, "one that was never asked is forgotten as well");
  assert.equal((await unused.next()).done, true);
});

test("calls of next() that wait at the same time get one change each", async () => {
  const { WebSocket, jobs } = await live();
  const changes = jobs[Symbol.asyncIterator]();
  const both = [changes.next(), changes.next()];
  WebSocket.last.say(delta(2, 3, [job("a", 3)]));
  await settled();
  WebSocket.last.say(delta(3, 4, [job("b", 4)]));
  const ids = (await Promise.all(both)).map(({ value }) => value.jobs.map(({ id }) => id));
  assert.deepEqual(ids, [["a"], ["b"]]);
});

// -- until ----------------------------------------------------------------------------------------

const outcome = async (promise) => {
  let said = "waits";
  promise.then(
    (value) => (said = value?.id ?? "there"),
    (error) => (said = error instanceof JobError ? error.message : error),
  );
  await settled();
  return () => settled().then(() => said);
};

test("until waits for a stage, an end or a removal", async () => {
  const { WebSocket, jobs } = await live();
  const done = await outcome(jobs.until("a", "completed")), ended = await outcome(jobs.until("b"));
  const stage = await outcome(jobs.until("a", "save")), removed = await outcome(jobs.until("b", "gone"));
  assert.deepEqual([await done(), await ended(), await stage(), await removed()], Array(4).fill("waits"));
  const history = [{ stage: "pending" }, { stage: "load" }, { stage: "save" }];
  WebSocket.last.say(delta(2, 4, [
    job("a", 3, { stage: "completed", history }), job("b", 4, { stage: "failed", error: "no" }),
  ]));
  assert.deepEqual([await done(), await ended(), await stage(), await removed()], ["a", "b", "a", "waits"]);
  WebSocket.last.say(delta(4, 5, [], { gone: ["b"] }));
  assert.equal(await removed(), "there");
});

test("until is refused as soon as it cannot come any more", async () => {
  const { WebSocket, jobs } = await live();
  const waits = [
    await outcome(jobs.until("a", "completed")), await outcome(jobs.until("b", "save")),
    await outcome(jobs.until("nobody")),
  ];
  assert.deepEqual(await Promise.all(waits.map((one) => one())), ["waits", "waits", "job nobody is gone"]);
  WebSocket.last.say(delta(2, 4, [
    job("a", 3, { stage: "failed", error: "no" }), job("b", 4, { stage: "completed" }),
  ]));
  assert.equal(await waits[0](), "job a failed: no");
  assert.equal(await waits[1](), "job b completed");
  const kept = await outcome(jobs.until("c", "terminal"));
  assert.equal(await kept(), "job c is gone");
});

test("until does not judge by what an earlier attempt has entered", async () => {
  const { WebSocket, jobs } = await live();
  const history = ["pending", "save", "failed", "pending", "load"].map((stage) => ({ stage }));
  WebSocket.last.say(delta(2, 3, [job("a", 3, { retryCount: 1, history })]));
  const saved = await outcome(jobs.until("a", "save"));
  assert.equal(await saved(), "waits");
});

test("until waits for the first complete read, and can be given up", async () => {
  const { jobs, WebSocket } = await opened();
  const stop = new AbortController();
  const one = await outcome(jobs.until("a", "terminal", { signal: stop.signal }));
  const other = await outcome(jobs.until("z"));
  WebSocket.last.open();
  WebSocket.last.say(delta(0, 1, [job("a", 1)], { more: true }));
  assert.equal(await other(), "waits");
  WebSocket.last.say(delta(1, 1));
  assert.equal(await other(), "job z is gone");
  stop.abort("enough");
  assert.equal(await one(), "enough");
  assert.equal(jobs._listeners.size, 1, "only onchange");
});

test("until ends with a refusal", async () => {
  const { jobs, WebSocket } = await opened();
  const one = await outcome(jobs.until("a"));
  WebSocket.last.end(4400, "no such filter");
  assert.equal(await one(), "no such filter");
});

// -- tokens, time, digests ------------------------------------------------------------------------

test("the token is asked for before each connection, and sent first", async () => {
  const tokens = ["one", "two"];
  const { clock, WebSocket } = await opened({ token: async () => tokens.shift() });
  WebSocket.last.open();
  assert.deepEqual(WebSocket.last.sent[0], { type: "jobs:auth", token: "one" });
  assert.ok(!String(WebSocket.last.url).includes("one"));
  WebSocket.last.end();
  await clock.pass(250);
  WebSocket.last.open();
  assert.deepEqual(WebSocket.last.sent[0], { type: "jobs:auth", token: "two" });
});

test("a wrong token ends it until somebody says to try again", async () => {
  const { clock, WebSocket, jobs } = await opened({ token: "wrong" });
  WebSocket.last.open();
  WebSocket.last.end(4401, "wrong token");
  assert.deepEqual([jobs.status.state, jobs.status.needsToken], ["error", true]);
  await clock.pass(3_600_000);
  assert.equal(WebSocket.made.length, 1);
  jobs.reconnect();
  await settled();
  assert.deepEqual([jobs.status.state, WebSocket.made.length], ["connecting", 2]);
});

test("a token that cannot be had is a failed try", async () => {
  const { jobs, WebSocket } = await opened({ token: () => Promise.reject(new Error("signed out")) });
  assert.deepEqual([jobs.status.state, jobs.status.detail], ["closed", "no token: signed out"]);
  assert.equal(WebSocket.made.length, 0);
});

test("ages are counted by the hub's clock", async () => {
  const { clock, WebSocket, jobs } = await live();
  const { at } = WebSocket.last.of("jobs:ping")[0];
  await clock.pass(100);
  WebSocket.last.say({ type: "jobs:pong", at, now: new Date(at + 600050).toISOString() });
  assert.equal(jobs.now() - clock.now(), 600000);
});

test("it acknowledges the newest revision, once a second", async () => {
  const { clock, WebSocket } = await live();
  for (let through = 3; through < 100; through++) WebSocket.last.say(delta(through - 1, through, [job("a", through)]));
  assert.deepEqual(WebSocket.last.of("jobs:ack").map(({ through }) => through), [2]);
  await clock.pass(1000);
  assert.deepEqual(WebSocket.last.of("jobs:ack").map(({ through }) => through), [2, 99]);
  await clock.pass(10000);
  assert.equal(WebSocket.last.of("jobs:ack").length, 2);
});

const hash = (text) => createHash("sha256").update(text).digest().readBigUInt64BE(0);
const digestOf = (pairs) => pairs.reduce((sum, pair) => sum ^ hash(pair.join(" ")), 0n).toString(16).padStart(16, "0");

test("the hash is that of SHA-256, for texts of every length", () => {
  for (let length = 0; length < 140; length++) {
    const text = "x".repeat(length) + " 1";
    const wanted = createHash("sha256").update(text).digest();
    assert.deepEqual(startOfSha256(text), [wanted.readInt32BE(0), wanted.readInt32BE(4)], text);
  }
});

test("the right digest changes nothing", async () => {
  const { clock, WebSocket, jobs } = await live();
  WebSocket.last.say(delta(2, 5, [job("c", 5)], { gone: ["b"], digest: digestOf([["a", 1], ["c", 5]]) }));
  await clock.pass(1000);
  assert.deepEqual([jobs.status.state, jobs.status.diverged], ["open", 0]);
});

test("another digest than the hub's: everything is read anew, and it says so", async () => {
  const { clock, WebSocket, jobs } = await live();
  WebSocket.last.say(delta(2, 5, [job("c", 5)], { digest: digestOf([["a", 1], ["c", 5]]) }));
  await clock.pass(10);
  assert.deepEqual([jobs.status.state, jobs.status.diverged], ["closed", 1]);
  assert.match(jobs.status.detail, /^diverged/);
  assert.ok(jobs.get("b"), "shown until the new ones are there");
  await clock.pass(250);
  assert.equal(WebSocket.last.url.searchParams.get("since"), null);
  WebSocket.last.open();
  const digest = digestOf([["a", 1], ["c", 5]]);
  WebSocket.last.say(delta(0, 5, [job("a", 1), job("c", 5)], { digest }));
  await clock.pass(40000);
  WebSocket.last.say(delta(5, 5, [], { digest }));
  await clock.pass(10);
  assert.deepEqual([jobs.status.diverged, jobs.all().length], [1, 2]);
});

test("a digest is compared with what was held at its revision only", async () => {
  const { clock, WebSocket, jobs } = await live();
  WebSocket.last.say(delta(2, 5, [job("c", 5)], { digest: digestOf([["a", 1], ["b", 2], ["c", 5]]) }));
  WebSocket.last.say(delta(5, 6, [job("c", 6)]));
  await clock.pass(10);
  assert.equal(jobs.status.diverged, 0);
});

// -- where there is no page -----------------------------------------------------------------------

test("where there is no window it does nothing", () => {
  const jobs = connect({ url: "http://hub.example", onchange: () => assert.fail("a change") });
  assert.deepEqual([jobs.status.state, jobs.all(), jobs.counts.total], ["idle", [], 0]);
  assert.equal(jobs.getServerSnapshot(), jobs.getServerSnapshot());
  assert.deepEqual(jobs.getServerSnapshot().jobs, []);
  jobs.reconnect();
  jobs.close();
  assert.equal(jobs.status.state, "idle");
});

test("addresses of a hub", async () => {
  const address = async (url) => (await opened({ url, verify: false })).WebSocket.last.url.href.slice(0, -1);
  assert.equal(await address("https://x.example/jobs/"), "wss://x.example/jobs/ws/jobs");
  assert.equal(await address("http://127.0.0.1:8765"), "ws://127.0.0.1:8765/ws/jobs");
  assert.equal(await address("wss://x.example/a/ws/jobs"), "wss://x.example/a/ws/jobs");
  assert.equal(await address("/base"), "ws://hub.example/base/ws/jobs");
});

test("a filter that no hub knows is an error at once", () => {
  assert.throws(() => connect({ filter: { colour: "red" } }), TypeError);
});

// -- wrong or late messages -----------------------------------------------------------------------

test("dead workers of an earlier hub are forgotten if the next one names none", async () => {
  const { clock, WebSocket, jobs } = await live();
  WebSocket.last.say(delta(2, 3, [job("c", 3, { owner: "o1" })]));
  WebSocket.last.say({ type: "jobs:owners", dead: ["o1"] });
  WebSocket.last.end();
  await clock.pass(250);
  WebSocket.last.open();
  WebSocket.last.say(delta(3, 3));
  assert.equal(jobs.get("c").derived.lost, true, "not yet known");
  const { at } = WebSocket.last.of("jobs:ping").at(-1);
  WebSocket.last.say({ type: "jobs:pong", at, now: new Date(clock.now()).toISOString() });
  assert.equal(jobs.get("c").derived.lost, false);
});

test("dead workers stay known if the hub names them before or after its first jobs", async () => {
  for (const before of [true, false]) {
    const { clock, WebSocket, jobs } = await opened();
    const owners = { type: "jobs:owners", dead: ["o1"] };
    WebSocket.last.open();
    if (before) WebSocket.last.say(owners);
    WebSocket.last.say(delta(0, 3, [job("c", 3, { owner: "o1" })]));
    if (!before) WebSocket.last.say(owners);
    WebSocket.last.say({ type: "jobs:pong", at: clock.now(), now: new Date(clock.now()).toISOString() });
    assert.equal(jobs.get("c").derived.lost, true);
    assert.equal(jobs.counts.lost, 1);
  }
});

test("a worker that dies during a reset in pages leaves its jobs lost", async () => {
  const { WebSocket, jobs } = await live();
  WebSocket.last.say(delta(0, 7, [job("c", 7, { owner: "o1" })], { more: true }));
  WebSocket.last.say({ type: "jobs:owners", dead: ["o1"] });
  WebSocket.last.say(delta(7, 8, [job("d", 8, { owner: "o1" })]));
  assert.deepEqual([jobs.get("c").derived.lost, jobs.get("d").derived.lost], [true, true]);
  assert.equal(jobs.counts.lost, 2);
});

test("a reset that is cut off is resumed, and ends with the hub's jobs", async () => {
  const { clock, WebSocket, jobs } = await live();
  WebSocket.last.say(delta(0, 7, [job("c", 7)], { more: true }));
  WebSocket.last.end();
  await clock.pass(250);
  assert.equal(WebSocket.last.url.searchParams.get("since"), "e1:7");
  WebSocket.last.open();
  WebSocket.last.say(delta(7, 9, [job("d", 9)]));
  assert.deepEqual(jobs.all().map(({ id }) => id), ["c", "d"]);
});

test("one delta removes first and stores then", async () => {
  const { WebSocket, jobs, changes } = await live();
  WebSocket.last.say(delta(2, 4, [job("a", 4)], { gone: ["a"] }));
  assert.equal(jobs.get("a")?.revision, 4);
  assert.equal(jobs.counts.total, 2);
  assert.deepEqual([changes.at(-1).gone, changes.at(-1).added], [[], []]);
});

for (const [what, message] of Object.entries({
  "no message": null,
  "a delta without jobs": { ...delta(2, 3), jobs: undefined },
  "a delta whose jobs are none": delta(2, 3, [null]),
  "a delta whose jobs have no id": delta(2, 3, [{ stage: "load" }]),
  "a delta without ids that are gone": { ...delta(2, 3), gone: null },
  "a delta that goes back": delta(2, 1),
  "owners that are no list": { type: "jobs:owners", dead: null },
})) {
  test(`${what} ends the connection, and the cursor stays`, async () => {
    const { WebSocket, jobs } = await live();
    WebSocket.last.say(message);
    assert.deepEqual([jobs.status.state, jobs.status.cursor], ["closed", "e1:2"]);
  });
}

test("ids and keys may be names of Object.prototype", async () => {
  const { WebSocket, jobs } = await live();
  const changes = jobs[Symbol.asyncIterator]();
  const first = changes.next();
  const text = JSON.stringify(delta(2, 4, [job("__proto__", 3), job("constructor", 4)], { odd: {} }));
  WebSocket.last.say(text.replace('"type":"etl"', '"__proto__":{"polluted":1},"type":"etl"'));
  await first;
  assert.equal(jobs.get("__proto__").revision, 3);
  assert.equal(jobs.get("__proto__").polluted, undefined);
  assert.equal({}.polluted, undefined);
  WebSocket.last.say(delta(4, 5, [], { gone: ["constructor"], why: {} }));
  assert.deepEqual((await changes.next()).value.why, {});
});

// -- calls from a listener, unusual delays, a clock that is set ------------------------------------

for (const state of ["connecting", "open", "closed"]) {
  for (const call of ["close", "reconnect"]) {
    test(`a listener calls ${call}() when it hears ${state}`, async () => {
      let done = false;
      const { clock, page, WebSocket, jobs } = await opened({
        onchange: (jobs, { status }) => {
          if (status?.state !== state || done) return;
          done = true;
          jobs[call]();
        },
      });
      WebSocket.last?.open();
      WebSocket.last?.say(delta(0, 1, [job("a", 1)]));
      WebSocket.last?.end();
      await settled();
      const alive = () => WebSocket.made.filter(({ readyState }) => readyState < 2).length;
      if (call === "close") {
        assert.deepEqual([jobs.status.state, jobs.status.retryAt, alive()], ["idle", null, 0]);
        assert.deepEqual(clock.timers, []);
        assert.deepEqual(jobs._machine._listening, []);
        assert.equal(jobs.get("a")?.revision, state === "closed" ? 1 : undefined, "nothing after close()");
        page.tell("online");
        assert.equal(jobs.status.state, "idle");
      } else {
        await clock.pass(1000);
        assert.deepEqual([jobs.status.state, alive()], ["connecting", 1]);
      }
    });
  }
}

for (const seconds of ["0", "...", "0.001"]) {
  test(`"come back in ${seconds}" makes no busy loop`, async () => {
    const { clock, WebSocket, jobs } = await live();
    WebSocket.last.end(1001, `retry-after=${seconds}; the hub stops`);
    assert.ok(jobs.status.retryAt - clock.now() >= 50, String(jobs.status.retryAt));
  });
}

test("many wakes do not put off the next try", async () => {
  const { clock, page, WebSocket, jobs } = await live();
  clock.chance = 0.9;
  WebSocket.last.end();
  for (let turn = 0; turn < 10; turn++) {
    page.tell("online");
    await clock.pass(100);
  }
  assert.equal(jobs.status.state, "connecting");
  assert.equal(WebSocket.made.length, 2);
});

test("a clock that is set back hides no silent hub", async () => {
  const { clock, WebSocket } = await live();
  clock.time -= 3_600_000;
  for (const timer of clock.timers) timer.at -= 3_600_000; // timers do not depend on the clock
  await clock.pass(8000);
  assert.ok(WebSocket.made[0].closed);
});

test("a clock that is set back between ping and pong says nothing about the hub's", async () => {
  const { clock, WebSocket, jobs } = await live();
  const { at } = WebSocket.last.of("jobs:ping")[0];
  clock.time -= 3_600_000;
  WebSocket.last.say({ type: "jobs:pong", at, now: new Date(at).toISOString() });
  assert.equal(jobs.now(), clock.now());
});

test("a dead connection is noticed though timers run once a minute", async () => {
  const { clock, jobs } = await live({ rest: false });
  for (let minutes = 0; minutes < 4; minutes++) await clock.pass(60000, { asleep: true });
  assert.notEqual(jobs.status.state, "open");
});

test("a hub that never begins is left though timers run once a minute", async () => {
  const { clock, WebSocket } = await opened({ rest: false });
  WebSocket.last.open();
  for (let minutes = 0; minutes < 4; minutes++) await clock.pass(60000, { asleep: true });
  assert.ok(WebSocket.made[0].closed);
});

test("a token may take longer than the connection: somebody signs in meanwhile", async () => {
  let give, asked = 0;
  const token = () => (asked++, new Promise((resolve) => (give = resolve)));
  const { clock, WebSocket, jobs } = await opened({ token });
  await clock.pass(20000);
  assert.deepEqual([asked, jobs.status.state], [1, "connecting"]);
  give("one");
  await settled();
  await clock.pass(4000);
  WebSocket.last.open();
  assert.equal(WebSocket.last.of("jobs:auth")[0].token, "one");
});

test("a token that never comes is asked for again, and a late one is not used", async () => {
  const gives = [];
  const { clock, WebSocket, jobs } = await opened({ token: () => new Promise((give) => gives.push(give)) });
  await clock.pass(60000);
  assert.deepEqual([jobs.status.state, jobs.status.detail], ["closed", "no token within 60 s"]);
  gives[0]("late");
  await settled();
  assert.equal(WebSocket.made.length, 0);
  await clock.pass(250);
  assert.equal(gives.length, 2);
});

test("a hub that has taken the new token wants none", async () => {
  const { WebSocket, jobs } = await opened({ token: "wrong" });
  WebSocket.last.open();
  WebSocket.last.end(4401, "wrong token");
  jobs.reconnect();
  await settled();
  assert.equal(jobs.status.needsToken, false);
});

// -- what is kept, and what ends ------------------------------------------------------------------

test("an iterator ends with close(), also if nobody waits", async () => {
  const { WebSocket, jobs } = await live();
  const changes = jobs[Symbol.asyncIterator](), idle = jobs[Symbol.asyncIterator]();
  const first = idle.next();
  WebSocket.last.say(delta(2, 3, [job("a", 3)]));
  await Promise.all([first, changes.next()]);
  const waits = changes.next();
  jobs.close();
  assert.equal((await waits).value.status.state, "idle");
  assert.equal((await changes.next()).done, true);
  assert.equal((await idle.next()).value.status.state, "idle", "what came before is not lost");
  assert.equal((await idle.next()).done, true);
  assert.equal(jobs._queues.size, 0);
});

test("until ends with a refusal or close() also for a job that is there", async () => {
  const { WebSocket, jobs } = await live();
  const closed = await outcome(jobs.until("a")), gone = await outcome(jobs.until("a", "gone"));
  jobs.close();
  assert.deepEqual([await closed(), await gone()], Array(2).fill("the connection was closed"));
  assert.equal(jobs._listeners.size, 1, "only onchange");
  const other = await live();
  const refused = await outcome(other.jobs.until("a"));
  other.WebSocket.last.end(4400, "no such filter");
  assert.equal(await refused(), "no such filter");
  assert.equal(WebSocket.made.length, 1);
});

test("until waits for a connection that begins later", async () => {
  const { WebSocket, jobs } = await opened({ start: false });
  const one = await outcome(jobs.until("a"));
  jobs.reconnect();
  await settled();
  WebSocket.last.open();
  WebSocket.last.say(delta(0, 1, [job("a", 1, { stage: "completed" })]));
  assert.equal(await one(), "a");
});

test("a listener that was taken away hears nothing more", async () => {
  const { WebSocket, jobs } = await live();
  const heard = [];
  jobs.subscribe(() => stop());
  const stop = jobs.subscribe((change) => heard.push(change));
  WebSocket.last.say(delta(2, 3, [job("a", 3)]));
  assert.deepEqual(heard, []);
});

test("one listener cannot change what another hears", async () => {
  const { WebSocket, changes } = await live();
  WebSocket.last.end();
  for (const list of ["jobs", "added", "gone"]) assert.throws(() => changes.at(-1)[list].push("x"), TypeError);
});

test("without comparing, nothing is kept of jobs that are gone", async () => {
  const { WebSocket, jobs } = await live({ verify: false });
  for (let through = 3; through < 100; through += 2) {
    WebSocket.last.say(delta(through - 1, through, [job(`j${through}`, through)]));
    WebSocket.last.say(delta(through, through + 1, [], { gone: [`j${through}`] }));
  }
  assert.deepEqual([...jobs._records.digest.dirty.keys()], ["a", "b"]);
});

test("a key of a filter without a value selects nothing less", async () => {
  const { WebSocket } = await opened({ verify: false, filter: { type: undefined, session: null, id: ["a", undefined] } });
  assert.equal(WebSocket.last.url.search, "?id=a");
});

test("a list of what is gone in several deltas is compared when it is complete", async () => {
  const { clock, WebSocket, jobs } = await live();
  WebSocket.last.say(delta(2, 3, [job("a", 3)], { digest: digestOf([["a", 3], ["b", 2]]) }));
  WebSocket.last.say(delta(3, 3, [], { gone: ["b"], more: true })); // the cursor stays
  await clock.pass(10);
  assert.deepEqual([jobs.status.state, jobs.status.diverged], ["open", 0]);
  WebSocket.last.say(delta(3, 5, [], { gone: ["a"], digest: digestOf([]) }));
  await clock.pass(10);
  assert.deepEqual([jobs.status.state, jobs.status.diverged], ["open", 0]);
});

test("a hidden page that was told to reconnect rests again after five minutes", async () => {
  const { clock, WebSocket, jobs } = await REACH.resting();
  jobs.reconnect();
  await settled();
  WebSocket.last.open();
  WebSocket.last.say(delta(2, 2));
  for (let seconds = 0; seconds < 300; seconds += 5) {
    await clock.pass(5000);
    WebSocket.last.say({ type: "jobs:pong", at: clock.now(), now: "x" });
  }
  assert.equal(jobs.status.state, "resting");
  assert.deepEqual(clock.timers, []);
});

// -- jobs with some of their fields ---------------------------------------------------------------

test("it asks for the fields, and for none", async () => {
  const query = async (fields) => (await opened({ fields })).WebSocket.last.url.searchParams.get("fields");
  assert.equal(await query(["title", "progress"]), "progress,title");
  assert.equal(await query([]), "");
  assert.equal(await query(undefined), null);
  assert.equal(await query(null), null);
});

test("a job with some fields is judged by the facts beside it", async () => {
  const { WebSocket, jobs } = await opened({ fields: ["title"] });
  const socket = WebSocket.last, owner = "4711-0123456789ab";
  const facts = {
    a: { cancelled: true, endsMs: [1767225700000], lastStage: "extract", beganMs: null },
    b: { moved: true, recorded: false, owner, enteredMs: 1767225600000, acknowledged: true },
  };
  socket.open();
  socket.say(delta(0, 2, [job("a", 1, { stage: "failed" }), job("b", 2)], { derived: facts }));
  const [a, b] = [jobs.get("a"), jobs.get("b")];
  assert.equal(a.derived.cancelled, true);
  assert.equal(jobs.counts.cancelled, 1);
  assert.equal(endedMs(a, jobs.now()), 1767225700000);
  assert.equal(lastStage(a), "extract");
  assert.ok(Number.isNaN(beganMs(a)), "null says that it is not known");
  assert.deepEqual([movedByOthers(b), isRecordedAttempt(b), isAcknowledged(b)], [true, false, true]);
  assert.equal(enteredMs(b), 1767225600000);
  assert.equal(isStalled(b, 1767225600000 + 60001), true);
  assert.equal(isStalled(b, 1767225600000 + 60001, null), false, "no limit");
  assert.equal(b.derived.lost, false);
  socket.say({ type: "jobs:owners", dead: [owner] });
  assert.equal(jobs.get("b").derived.lost, true);
  assert.equal(enteredMs(jobs.get("b")), 1767225600000, "facts stay with the job");
  socket.say(delta(2, 3, [job("b", 3)]));
  assert.equal(jobs.get("b").derived.facts, undefined, "those of an earlier version are gone");
  assert.equal(jobs.get("b").derived.lost, false);
});
