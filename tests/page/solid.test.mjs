// Solid's signals over the client; the same for 1.9 and 2.

import assert from "node:assert/strict";
import test from "node:test";
import * as solid from "solid-js";
import { connect } from "./client.js";
import { FakeClock, FakePage, delta, fakeSockets, job, settled } from "./fakes.mjs";

const { createComponent, createEffect, createRoot } = solid;
const { JobProvider, createJobs, useJobs } = await import(process.env.BINDING);

/** Runs `read` whenever what it reads has changed; returns the values. */
function watched(read) {
  const values = [];
  createEffect(() => (values.push(read()), values.length), () => {}); // Solid 2 wants two functions
  return values;
}

async function opened(use) {
  const clock = new FakeClock(), window = new FakePage(), WebSocket = fakeSockets();
  const client = connect({ clock, window, WebSocket });
  await settled();
  WebSocket.last.open();
  const found = createRoot((dispose) => {
    const jobs = createJobs(client);
    return { jobs, dispose, ...use?.(jobs) };
  });
  WebSocket.last.say(delta(0, 3, [
    job("a", 1, { sessionId: "s" }), job("b", 2, { stage: "pending" }), job("c", 3, { stage: "completed" }),
  ]));
  await settled();
  return { clock, WebSocket, client, ...found };
}

test("only what reads a changed job runs again", async () => {
  const all = await opened((jobs) => ({
    a: watched(() => jobs.job("a")?.stage), b: watched(() => jobs.job("b")?.stage),
    ids: watched(() => jobs.ids().join()), active: watched(() => jobs.active()),
  }));
  assert.deepEqual([all.a, all.b, all.ids], [[undefined, "load"], [undefined, "pending"], ["", "a,b,c"]]);
  all.WebSocket.last.say(delta(3, 5, [job("a", 4, { stage: "save" }), job("c", 5, { stage: "completed" })]));
  await settled();
  assert.deepEqual([all.a.slice(2), all.b.slice(2), all.ids.slice(2)], [["save"], [], []]);
  all.WebSocket.last.say(delta(5, 7, [job("d", 6)], { gone: ["b"] }));
  await settled();
  assert.deepEqual([all.b.slice(2), all.ids.slice(2)], [[undefined], ["a,c,d"]]);
  assert.equal(all.active.at(-1), 2);
});

test("the list of ids is that of the jobs, whoever reads it, and when", async () => {
  const clock = new FakeClock(), window = new FakePage(), WebSocket = fakeSockets();
  const client = connect({ clock, window, WebSocket });
  let jobs = null;
  const early = [];
  client.subscribe(() => jobs && turn % 3 === 0 && early.push(jobs.ids())); // before the signals' own
  jobs = createRoot(() => createJobs(client));
  await settled();
  WebSocket.last.open();
  let through = 0, turn = 0, seed = 7;
  const next = (limit) => (seed = (seed * 48271) % 2147483647) % limit;
  for (turn = 0; turn < 400; turn++) {
    const some = Array.from({ length: next(4) }, () => job(`j${next(40)}`, (through += 1)));
    const gone = next(5) ? [] : [`j${next(40)}`];
    const distinct = [...new Map(some.map((one) => [one.id, one])).values()];
    const since = turn ? client._records.revision : 0;
    WebSocket.last.say(delta(since, (through += 1), distinct, { gone }));
    if (turn % 7 === 0) {
      await settled();
      assert.deepEqual(jobs.ids(), client.all().map(({ id }) => id), `turn ${turn}`);
      assert.equal(jobs.ids(), jobs.ids());
    }
  }
  assert.ok(early.length > 20 && client.all().length > 20);
});

test("one delta is one batch", async () => {
  const all = await opened((jobs) => ({
    both: watched(() => [jobs.job("a")?.revision, jobs.job("b")?.revision, jobs.counts().total].join()),
  }));
  all.both.length = 0;
  all.WebSocket.last.say(delta(3, 6, [job("a", 4), job("b", 5), job("e", 6)]));
  await settled();
  assert.deepEqual(all.both, ["4,5,4"]);
});

test("jobs keep their identity until they change", async () => {
  const { jobs, WebSocket } = await opened();
  const [a, b] = [jobs.job("a"), jobs.job("b")];
  WebSocket.last.say(delta(3, 4, [job("a", 4)]));
  await settled();
  assert.notEqual(jobs.job("a"), a);
  assert.equal(jobs.job("b"), b);
  assert.equal(jobs.jobs()[1], b);
});

test("jobs by session, stalled ones, and those that somebody watches", async () => {
  const { clock, jobs, WebSocket } = await opened();
  assert.deepEqual(jobs.bySession("s").map(({ id }) => id), ["a"]);
  const at = new Date(clock.now()).toISOString();
  WebSocket.last.say(delta(3, 4, [job("a", 4, { createdAt: at, stageStartedAt: at })]));
  await settled();
  assert.deepEqual(jobs.stalled().map(({ id }) => id), []);
  await clock.pass(61000);
  assert.deepEqual(jobs.stalled().map(({ id }) => id), ["a"], "a pending or ended one never is");
  assert.deepEqual(jobs.stalled(120000), []);
  jobs.watch("a");
  jobs.watch("b");
  jobs.watch("a");
  jobs.unwatch("b");
  await settled();
  assert.deepEqual(jobs.watched(), ["a"]);
});

test("a job that comes later, goes, and comes again is seen by whoever asks for it", async () => {
  const all = await opened((jobs) => ({ d: watched(() => jobs.job("d")?.stage), a: watched(() => jobs.job("a")?.revision) }));
  const { WebSocket } = all;
  all.d.length = all.a.length = 0;
  WebSocket.last.say(delta(3, 4, [job("d", 4)]));
  await settled();
  WebSocket.last.say(delta(4, 5, [job("d", 5, { stage: "save" })]));
  await settled();
  WebSocket.last.say(delta(5, 6, [], { gone: ["d"] }));
  await settled();
  WebSocket.last.say(delta(6, 7, [job("d", 7, { stage: "pending" })]));
  await settled();
  assert.deepEqual(all.d, ["load", "save", undefined, "pending"]);
  assert.deepEqual(all.a, [], "others do not run for that");
});

test("signals are kept for jobs that are there and looked at, and for no others", async () => {
  const { jobs, WebSocket } = await opened();
  const { ids, dispose } = createRoot((dispose) => ({
    dispose, ids: watched(() => jobs.ids().map((id) => jobs.job(id)?.revision).join()),
  }));
  await settled();
  for (let through = 4; through < 200; through += 2) {
    WebSocket.last.say(delta(through - 1, through, [job(`j${through}`, through)]));
    await settled();
    jobs.job(`other${through}`); // somebody asks once
    WebSocket.last.say(delta(through, through + 1, [], { gone: [`j${through}`] }));
    await settled();
  }
  assert.equal(ids.length, 197);
  assert.deepEqual([...jobs._signals.keys()], ["a", "b", "c"]);
  dispose();
});

test("ages run with the hub's clock, each second, and end with the signals", async (context) => {
  context.mock.timers.enable({ apis: ["setInterval"] });
  const all = await opened((jobs) => ({
    now: watched(() => jobs.now()), stalled: watched(() => jobs.stalled().map(({ id }) => id).join()),
  }));
  const { clock, jobs, WebSocket } = all, at = new Date(clock.now()).toISOString();
  WebSocket.last.say(delta(3, 5, [
    job("a", 4, { createdAt: at, stageStartedAt: at }), job("d", 5, { createdAt: at, stageStartedAt: at }),
  ]));
  await settled();
  assert.equal(all.stalled.at(-1), "");
  const before = all.now.length;
  for (let seconds = 0; seconds < 61; seconds++) {
    await clock.pass(1000);
    context.mock.timers.tick(1000);
    await settled();
  }
  assert.ok(all.now.length >= before + 60, String(all.now.length - before));
  assert.equal(all.now.at(-1), clock.now());
  assert.equal(all.stalled.at(-1), "a,d");
  jobs.release();
  await clock.pass(1000);
  context.mock.timers.tick(1000);
  await settled();
  assert.equal(all.now.at(-1), clock.now() - 1000);
});

test("acts are those of the client", async () => {
  const { jobs, WebSocket, clock } = await opened();
  WebSocket.last.end();
  await clock.pass(250);
  WebSocket.last.open();
  WebSocket.last.say(delta(3, 3, [], { can: ["view", "operate"] }));
  await settled();
  assert.deepEqual(jobs.can(), ["view", "operate"]);
  const acts = [jobs.cancel("a", { reason: "why" }), jobs.retry("b"), jobs.remove("c"), jobs.acknowledge("a")];
  for (const { type, req, reason } of WebSocket.last.sent.filter(({ req }) => req)) {
    if (type === "jobs:cancel") assert.equal(reason, "why");
    WebSocket.last.say({ type: "jobs:done", req, id: "x", revision: 3, cursor: "e1:3" });
  }
  assert.deepEqual((await Promise.all(acts)).map(({ id }) => id), ["a", "b", "c", "a"]);
});

/** What a component returns, by calling what is still a function. */
const resolved = (value) => (typeof value === "function" ? resolved(value()) : value);

test("a provider connects anew with another address, filter or token, and for nothing else", async () => {
  const window = new FakePage(), WebSocket = fakeSockets(), clock = new FakeClock();
  const [options, setOptions] = solid.createSignal({ url: "http://one.example", token: () => "t" });
  const seen = [];
  const dispose = createRoot((end) => {
    const page = createComponent(JobProvider, {
      window, WebSocket, clock,
      get url() { return options().url; },
      get filter() { return options().filter; },
      get token() { return options().token; },
      get children() {
        seen.push(useJobs());
        return null;
      },
    });
    watched(() => (resolved(page), seen.length));
    return end;
  });
  const hosts = () => WebSocket.made.map(({ url }) => url.host + (url.searchParams.get("type") ?? ""));
  const set = async (more) => {
    setOptions((before) => ({ ...before, ...more }));
    for (let turn = 0; turn < 3; turn++) await settled();
  };
  await set({});
  await set({ token: () => "another function" });
  assert.deepEqual(hosts(), ["one.example"]);
  seen[0].refresh(); // it is connecting
  WebSocket.last.end();
  await clock.pass(250);
  WebSocket.last.open();
  assert.equal(WebSocket.last.of("jobs:auth")[0].token, "another function");
  WebSocket.made.shift();
  await set({ filter: { type: "etl" } });
  await set({ filter: { type: "etl" } });
  assert.deepEqual(hosts(), ["one.example", "one.exampleetl"]);
  await set({ url: "http://two.example" });
  await set({ token: "a text" });
  assert.deepEqual(hosts().slice(2), ["two.exampleetl", "two.exampleetl"]);
  assert.deepEqual(WebSocket.made.map(({ closed }) => closed), [true, true, true, false]);
  assert.equal(seen.length, 4);
  assert.equal(seen[0].client.status.state, "idle");
  dispose();
  await settled();
  assert.ok(WebSocket.last.closed);
});

test("a provider hands the jobs down, and closes what it has opened", async () => {
  const window = new FakePage(), WebSocket = fakeSockets(), clock = new FakeClock();
  let seen;
  const dispose = createRoot((end) => {
    resolved(createComponent(JobProvider, {
      url: "http://hub.example", window, WebSocket, clock,
      get children() {
        seen = useJobs();
        return null;
      },
    }));
    return end;
  });
  await settled();
  assert.equal(WebSocket.made.length, 1);
  assert.equal(seen.status().state, "connecting");
  dispose();
  await settled();
  assert.equal(seen.client.status.state, "idle");
});

test("without a provider it says so", () => {
  createRoot(() => assert.throws(() => useJobs()));
});
