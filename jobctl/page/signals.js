// The signals over a hub's jobs for each version of Solid: see solid.js and solid2.js.
//
// A delta names what has changed, so nothing is compared: the signal of each changed job gets its
// new object, in one batch. A list by `ids()` keeps its rows while jobs change.

import { connect, isStalled } from "./client.js";

/** {JobProvider, useJobs, createJobs} by the functions of one version of Solid. */
export function bindingsOf({
  batch, createComponent, createContext, createMemo, createSignal, isTracking, onCleanup, providerOf, untrack,
  useContext,
}) {
  const Context = createContext(null);

  /**
   * Connects to a hub for the components below. The other properties are the options of `connect`.
   * With another `url`, `filter`, `fields` or `token`, compared by value, it connects anew, and what
   * is below is made anew.
   */
  function JobProvider(props) {
    const key = createMemo(() => {
      const { client, url, filter, fields, token, rest, verify } = props;
      return client ?? JSON.stringify([url, filter, fields, typeof token === "function" || token, rest, verify]);
    });
    return createMemo(() => {
      key();
      return untrack(() => provide(props));
    });
  }

  /** All properties but the children, which are made below. */
  function optionsOf(props) {
    const names = Object.keys(props).filter((name) => name !== "children");
    return Object.fromEntries(names.map((name) => [name, props[name]]));
  }

  function provide(props) {
    const { client, ...options } = optionsOf(props);
    // Functions are those of the time at which they are called.
    const latest = (name) => (...given) => untrack(() => props[name]?.(...given));
    if (typeof options.token === "function") options.token = latest("token");
    if ("onchange" in options) options.onchange = latest("onchange");
    const jobs = createJobs(client ?? connect(options));
    onCleanup(() => {
      jobs.release();
      if (!client) jobs.client.close(); // whoever made it closes it
    });
    return createComponent(providerOf(Context), {
      value: jobs,
      get children() {
        return props.children;
      },
    });
  }

  /** The signals of the provider above: see `createJobs`. */
  function useJobs() {
    const jobs = useContext(Context);
    if (!jobs) throw new Error("useJobs() needs a <JobProvider> above it");
    return jobs;
  }

  /**
   * Signals over a client:
   * `ids()` and `jobs()`, all of them; `job(id)`, one; `counts()`, `status()`; `active()`, how many
   * are at work; `can()`, what one may do; `bySession(id)`; `stalled(afterMs)`; `now()`, the time by
   * the hub's clock, each second. `watched()` are the ids of `watch(id)`, until `unwatch(id)`.
   * `refresh()` connects again; `cancel(id, {reason})`, `retry(id)`, `acknowledge(id, {note})` and
   * `remove(id)` are those of the client. `release()` ends the signals.
   */
  function createJobs(client) {
    const [members, setMembers] = createSignal(0); // which jobs there are
    const [version, setVersion] = createSignal(0); // of any job
    const [additions, setAdditions] = createSignal(0);
    const [status, setStatus] = createSignal(client.status);
    const [counts, setCounts] = createSignal(client.counts);
    const [watched, setWatched] = createSignal([]);
    const [now, setNow] = createSignal(client.now());
    const signals = new Map(); // of jobs that are there and that somebody looks at
    let turn = 0, timer = null, known = null, added = [];

    const unsubscribe = client.subscribe((change) => {
      batch(() => {
        if (change.status) setStatus(change.status);
        if (!change.jobs.length && !change.gone.length) return;
        for (const job of change.jobs) signals.get(job.id)?.[1](job);
        for (const id of change.gone) {
          signals.get(id)?.[1](undefined);
          signals.delete(id); // whoever looks at it looks again, and then waits for additions
        }
        turn += 1;
        setVersion(turn);
        setCounts(client.counts);
        if (change.added.length) setAdditions(turn);
        if (!change.added.length && !change.gone.length) return;
        if (change.gone.length) known = null;
        // An earlier listener may have read the list, with those that are new at its end.
        else if (known?.at(-1) !== change.added.at(-1)) added.push(...change.added);
        setMembers(turn);
      });
    });

    const release = () => {
      unsubscribe();
      clearInterval(timer);
      timer = null;
    };

    const job = (id) => {
      let signal = signals.get(id);
      if (signal) return signal[0]();
      const value = client.get(id);
      if (!isTracking()) return value;
      if (value === undefined) return void additions();
      signals.set(id, (signal = createSignal(value)));
      return signal[0]();
    };
    /** The list is made when somebody reads it: a first read takes many deltas. */
    const ids = () => {
      members();
      if (known === null) known = client.all().map(({ id }) => id);
      else if (added.length) known = known.concat(added); // the same, and quicker
      added = [];
      return known;
    };
    const jobs = () => (version(), client.all());
    const time = () => {
      if (!isTracking() || status().state === "idle") return client.now(); // as where a server renders
      timer ??= setInterval(() => setNow(client.now()), 1000);
      return now();
    };
    return {
      client, ids, jobs, job, status, counts, watched, release, now: time,
      active: () => counts().active,
      can: () => status().can,
      bySession: (session) => jobs().filter(({ sessionId }) => sessionId === session),
      stalled: (afterMs) => (time(), jobs().filter((one) => isStalled(one, client.now(), afterMs))),
      watch: (id) => setWatched((before) => (before.includes(id) ? before : [...before, id])),
      unwatch: (id) => setWatched((before) => before.filter((one) => one !== id)),
      refresh: () => client.reconnect(),
      cancel: (id, more) => client.cancel(id, more),
      retry: (id, more) => client.retry(id, more),
      acknowledge: (id, more) => client.acknowledge(id, more),
      remove: (id, more) => client.remove(id, more),
      _signals: signals,
    };
  }

  return { JobProvider, useJobs, createJobs };
}
