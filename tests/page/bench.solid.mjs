// Prints as JSON what the signals of one version of Solid cost, beside a store with `reconcile`:
// BINDING=./solid.js node --expose-gc --conditions=browser bench.solid.mjs [REPEATS [UPDATES]]
//
// Both take the same messages of a hub. The naive way is that of a list from fetch(): keep the jobs
// in an array of a store, put each change into the array, and reconcile the store with it by id.

import * as solid from "solid-js";
import { connect } from "./client.js";
import { FakeClock, FakePage, delta, fakeSockets, settled } from "./fakes.mjs";

const { createEffect, createRoot } = solid;
const { createJobs } = await import(process.env.BINDING);
const isSecond = process.env.BINDING.includes("solid2");
const { createStore, reconcile } = isSecond ? solid : await import("solid-js/store");
const flush = isSecond ? solid.flush : () => {}; // Solid 1.9 runs effects at once
const repeats = Number(process.argv[2] ?? 9), UPDATES = Number(process.argv[3] ?? 500);

const at = "2026-11-28T10:00:00.000Z";
const job = (number, revision) => ({
  id: `job-${number}`, type: "etl", sessionId: `s${number % 50}`, stage: "load", createdAt: at, updatedAt: at,
  completedAt: null, stageStartedAt: at, error: null, retryCount: 0, title: `Job ${number}`, message: `row ${revision}`,
  progress: { done: revision, total: 100000 }, stages: ["extract", "load", "save"], labels: { team: "a" },
  history: ["pending", "extract", "load"].map((stage) => ({ stage, at })), revision,
});
/** The first read, in pages of 30,000 bytes, as the hub sends them. */
function first(count) {
  const pages = [];
  for (let since = 0; since < count; since += 50) {
    const jobs = Array.from({ length: 50 }, (_, one) => job(since + one, since + one + 1));
    pages.push(JSON.stringify(delta(since, since + 50, jobs, { more: since + 50 < count })));
  }
  return pages;
}
const next = (count, turn) => JSON.stringify(delta(count + turn, count + turn + 1, [job((turn * 7919) % count, count + turn + 1)]));
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const p95 = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length * 0.95)];

function timed(run) {
  const began = performance.now();
  run();
  flush();
  return performance.now() - began;
}

/** CPU time, collection of garbage and compilation included: other programs do not count. */
function cpu(run) {
  globalThis.gc?.();
  const began = process.cpuUsage();
  run();
  flush();
  const { user, system } = process.cpuUsage(began);
  return (user + system) / 1000;
}

/** The client's own way: returns what takes a message. */
async function ours() {
  const WebSocket = fakeSockets();
  const client = connect({ clock: new FakeClock(), window: new FakePage(), WebSocket, verify: false });
  await settled();
  WebSocket.last.open();
  const jobs = createJobs(client);
  return { take: (text) => WebSocket.last.say(text), ids: jobs.ids, read: (id) => jobs.job(id)?.message };
}

/** Everything in one store, made equal to the list. */
async function naive() {
  const held = new Map();
  const [state, setState] = createStore({ jobs: [] });
  const take = (text) => {
    const { jobs, more } = JSON.parse(text);
    for (const one of jobs) held.set(one.id, one);
    if (more) return; // or a first read would take minutes
    const list = [...held.values()];
    if (isSecond) setState((draft) => void reconcile(list, "id")(draft.jobs));
    else setState("jobs", reconcile(list, { key: "id" }));
  };
  const at = new Map();
  const read = (id) => {
    if (!at.has(id)) at.set(id, state.jobs.findIndex((one) => one.id === id));
    return state.jobs[at.get(id)]?.message;
  };
  return { take, ids: () => state.jobs.map(({ id }) => id), read };
}

async function load(make) {
  const pages = first(10000), times = [], parsing = [];
  for (let turn = 0; turn < repeats; turn++) {
    let kept; // as the stores keep it
    parsing.push(cpu(() => (kept = pages.map((text) => JSON.parse(text)))));
    if (kept.length !== pages.length) throw new Error("the pages are not parsed");
    await createRoot(async (dispose) => {
      const { take } = await make();
      times.push(cpu(() => pages.forEach(take)));
      dispose();
    });
  }
  return { parseMs: median(parsing), loadMs: median(times), storeMs: median(times) - median(parsing) };
}

async function update(make) {
  const times = [];
  await createRoot(async (dispose) => {
    const { take, read } = await make();
    first(1000).forEach(take);
    flush();
    let runs = 0;
    createRoot(() => {
      for (let one = 0; one < 1000; one++) {
        createEffect(() => (runs += 1, read(`job-${one}`)), () => {}); // Solid 2 wants two functions
      }
    });
    flush();
    await settled();
    runs = 0;
    for (let turn = 0; turn < UPDATES; turn++) {
      const text = next(1000, turn);
      times.push(timed(() => take(text)));
    }
    if (runs !== UPDATES) throw new Error(`${runs} effects ran for ${UPDATES} updates`);
    dispose();
  });
  return { updateMs: median(times.slice(20)), update95Ms: p95(times.slice(20)) };
}

const result = { version: process.env.VERSION };
for (const [name, make] of Object.entries({ ours, naive })) {
  result[name] = { ...(await load(make)), ...(await update(make)) };
}
console.log(JSON.stringify(result));
