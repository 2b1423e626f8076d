// The jobs of a hub in Solid 2; for Solid 1.9 import "./solid.js", which offers the same.

import {
  createComponent, createContext, createMemo, createSignal, getObserver, onCleanup, untrack, useContext,
} from "solid-js";
import { bindingsOf } from "./signals.js";

export const { JobProvider, useJobs, createJobs } = bindingsOf({
  createComponent, createContext, createMemo, createSignal, onCleanup, untrack, useContext,
  batch: (change) => change(), // Solid 2 does so by itself
  isTracking: () => Boolean(getObserver()),
  providerOf: (context) => context,
});
