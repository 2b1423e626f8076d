// The jobs of a hub in Solid 1.9 or 2:
//
//   <JobProvider url="http://127.0.0.1:8765"><App /></JobProvider>
//   const { ids, job, counts } = useJobs();
//   <For each={ids()}>{(id) => <Card job={job(id)} />}</For>
//
// A delta names what has changed, so nothing is compared: the signal of each changed job gets its
// new object, in one batch. A list by `ids()` keeps its rows while jobs change.

import * as solid from "solid-js";
import { connect, isStalled } from "./client.js";

const { createComponent, createContext, createSignal, onCleanup, useContext } = solid;
const batch = solid["batch"] ?? ((change) => change()); // Solid 2 does so by itself
const Context = createContext(null);

/** Connects to a hub for the components below. The other properties are the options of `connect`. */
export function JobProvider(props) {
  const names = Object.keys(props).filter((name) => name !== "children"); // those are made below
  const { client, ...options } = Object.fromEntries(names.map((name) => [name, props[name]]));
  const jobs = createJobs(client ?? connect(options));
  onCleanup(() => {
    jobs.release();
    if (!client) jobs.client.close(); // whoever made it closes it
  });
  return createComponent(Context.Provider ?? Context, {
    value: jobs,
    get children() {
      return props.children;
    },
  });
}

/** The signals of the provider above: see `createJobs`. */
export function useJobs() {
  const jobs = useContext(Context);
  if (!jobs) throw new Error("useJobs() needs a <JobProvider> above it");
  return jobs;
}

/**
 * Signals over a client:
 * `ids()` and `jobs()`, all of them; `job(id)`, one; `counts()`, `status()`, `active()`, how many
 * are at work; `bySession(id)`; `stalled(afterMs)`, by the present time. `watched()` are the ids of
 * `watch(id)`, until `unwatch(id)`. `refresh()` connects again. `release()` ends the signals.
 */
export function createJobs(client) {
  const [ids, setIds] = createSignal(client.all().map(({ id }) => id));
  const [version, setVersion] = createSignal(0);
  const [status, setStatus] = createSignal(client.status);
  const [counts, setCounts] = createSignal(client.counts);
  const [watched, setWatched] = createSignal([]);
  const signals = new Map();
  let turn = 0;

  const release = client.subscribe((change) => {
    batch(() => {
      if (change.status) setStatus(change.status);
      if (!change.jobs.length && !change.gone.length) return;
      for (const { id } of change.jobs) signals.get(id)?.[1](client.get(id));
      for (const id of change.gone) signals.get(id)?.[1](client.get(id));
      setVersion((turn += 1));
      setCounts(client.counts);
      if (change.added.length || change.gone.length) setIds(client.all().map(({ id }) => id));
    });
  });

  const job = (id) => {
    let signal = signals.get(id);
    if (!signal) signals.set(id, (signal = createSignal(client.get(id))));
    return signal[0]();
  };
  const jobs = () => (version(), client.all());
  return {
    client, ids, jobs, job, status, counts, watched, release,
    active: () => counts().active,
    bySession: (session) => jobs().filter(({ sessionId }) => sessionId === session),
    stalled: (afterMs) => jobs().filter((one) => isStalled(one, client.now(), afterMs)),
    watch: (id) => setWatched((before) => (before.includes(id) ? before : [...before, id])),
    unwatch: (id) => setWatched((before) => before.filter((one) => one !== id)),
    refresh: () => client.reconnect(),
  };
}
