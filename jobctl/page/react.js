// The jobs of a hub in React 18 or later:
//
//   createRoot(root).render(<JobProvider url="http://127.0.0.1:8765"><App /></JobProvider>);
//   const { jobs, active, cancel } = useJobs();

import {
  createContext, createElement, useCallback, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore,
} from "react";
import { connect, isStalled } from "./client.js";

const ClientContext = createContext(null);
const WatchContext = createContext(null);

/**
 * Connects to a hub for the components below. The other properties are the options of `connect`.
 * With another `url`, `filter`, `fields` or `token` it connects anew: these are compared by value,
 * and a function `token` may be another one in each rendering. `refresh()` asks the one that was
 * rendered last: after a refusal call it in an effect, or later.
 */
export function JobProvider({ children, client = null, ...options }) {
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  const { url, filter, fields, token, rest, verify } = options;
  const asksToken = typeof token === "function";
  const key = JSON.stringify([url, filter, fields, asksToken || token, rest, verify]);
  const own = useMemo(() => client ?? connect({
    ...options,
    start: false,
    token: asksToken ? () => latest.current.token() : token,
    onchange: (...news) => latest.current.onchange?.(...news),
  }), [client, key]);
  useEffect(() => {
    if (client) return undefined; // whoever made it closes it
    own.reconnect(); // here, since strict mode makes two and mounts one of them twice
    return () => own.close();
  }, [client, own]);
  const [watched, setWatched] = useState([]);
  const watching = useMemo(() => ({
    watched,
    watch: (id) => setWatched((before) => (before.includes(id) ? before : [...before, id])),
    unwatch: (id) => setWatched((before) => before.filter((one) => one !== id)),
  }), [watched]);
  const inner = createElement(WatchContext.Provider, { value: watching }, children);
  return createElement(ClientContext.Provider, { value: own }, inner);
}

/** The client itself: `get`, `until`, `reconnect` and so on. */
export function useClient() {
  return useInside(ClientContext);
}

function useInside(context) {
  const value = useContext(context);
  if (value === null) throw new Error("useJobs() needs a <JobProvider> above it");
  return value;
}

/**
 * {jobs, counts, status}, and what follows from them: `active`, how many are at work; `can`, what
 * one may do; `job(id)`; `bySession(id)`; `stalled(afterMs)`. `watched` are the ids of `watch(id)`,
 * until `unwatch(id)`, for all components below the provider. `refresh()` connects again;
 * `cancel(id, {reason})`, `retry(id)`, `acknowledge(id, {note})` and `remove(id)` are those of the
 * client. Renders again when something changes, but not because time passes: see `useNow`.
 */
export function useJobs() {
  const client = useClient(), watching = useInside(WatchContext);
  const snapshot = useSyncExternalStore(client.subscribe, client.getSnapshot, client.getServerSnapshot);
  return useMemo(() => {
    const { jobs, counts, status } = snapshot;
    return {
      ...snapshot, ...watching,
      active: counts.active, can: status.can,
      job: (id) => client.get(id),
      bySession: (session) => jobs.filter(({ sessionId }) => sessionId === session),
      stalled: (afterMs) => jobs.filter((one) => isStalled(one, client.now(), afterMs)),
      refresh: () => client.reconnect(),
      cancel: (id, more) => client.cancel(id, more),
      retry: (id, more) => client.retry(id, more),
      acknowledge: (id, more) => client.acknowledge(id, more),
      remove: (id, more) => client.remove(id, more),
    };
  }, [client, snapshot, watching]);
}

/** One job, or undefined; renders again when this job changes. */
export function useJob(id) {
  const client = useClient();
  const job = useCallback(() => client.get(id), [client, id]);
  return useSyncExternalStore(client.subscribe, job, () => undefined);
}

/** The time by the hub's clock, in milliseconds, to count ages from; renders again each second. */
export function useNow(everyMs = 1000) {
  const client = useClient();
  const [now, setNow] = useState(() => client.now());
  useEffect(() => {
    const tick = () => setNow(client.now());
    tick();
    const timer = setInterval(tick, everyMs);
    return () => clearInterval(timer);
  }, [client, everyMs]);
  return now;
}
