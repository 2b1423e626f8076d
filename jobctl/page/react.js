// The jobs of a hub in React 18 or later:
//
//   createRoot(root).render(<JobProvider url="http://127.0.0.1:8765"><App /></JobProvider>);
//   const { jobs, counts, status } = useJobs();

import { createContext, createElement, useContext, useEffect, useState, useSyncExternalStore } from "react";
import { connect } from "./client.js";

const Context = createContext(null);

/** Connects to a hub for the components below. The other properties are the options of `connect`. */
export function JobProvider({ children, client = null, ...options }) {
  const [own] = useState(() => client ?? connect({ ...options, start: false }));
  useEffect(() => {
    if (client) return undefined; // whoever made it closes it
    own.reconnect(); // here, since strict mode makes two and mounts one of them twice
    return () => own.close();
  }, [client, own]);
  return createElement(Context.Provider, { value: client ?? own }, children);
}

/** The client itself: `get`, `until`, `reconnect` and so on. */
export function useClient() {
  const client = useContext(Context);
  if (client === null) throw new Error("useJobs() needs a <JobProvider> above it");
  return client;
}

/** {jobs, counts, status}; renders again when one of them changes. */
export function useJobs() {
  const client = useClient();
  return useSyncExternalStore(client.subscribe, client.getSnapshot, client.getServerSnapshot);
}

/** One job, or undefined; renders again when this job changes. */
export function useJob(id) {
  const client = useClient();
  return useSyncExternalStore(client.subscribe, () => client.get(id), () => undefined);
}
