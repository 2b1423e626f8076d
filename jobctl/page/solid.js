// The jobs of a hub in Solid 1.9; for Solid 2 import "./solid2.js":
//
//   <JobProvider url="http://127.0.0.1:8765"><App /></JobProvider>
//   const { ids, job, counts } = useJobs();
//   <For each={ids()}>{(id) => <Card job={job(id)} />}</For>

import {
  batch, createComponent, createContext, createMemo, createSignal, getListener, onCleanup, untrack, useContext,
} from "solid-js";
import { bindingsOf } from "./signals.js";

export const { JobProvider, useJobs, createJobs } = bindingsOf({
  batch, createComponent, createContext, createMemo, createSignal, onCleanup, untrack, useContext,
  isTracking: () => Boolean(getListener()),
  providerOf: (context) => context.Provider,
});
