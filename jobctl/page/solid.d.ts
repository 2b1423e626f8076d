import type { ActOptions, Counts, Job, Jobs, Options, Right, Status } from "./client.js";

export interface JobProviderProps extends Options {
  children?: any; // the type of elements is another one in each version of Solid
  /** A client that you have made, and that you close. The other options are not used then. */
  client?: Jobs;
}

/** Signals over a client: what reads one runs again when its value changes. */
export interface JobSignals {
  readonly client: Jobs;
  /** The ids of all jobs; changes only when jobs come and go. */
  ids(): readonly string[];
  jobs(): readonly Job[];
  /** One job; what reads it runs again when this job changes. */
  job(id: string): Job | undefined;
  counts(): Counts;
  status(): Status;
  /** How many are at work. */
  active(): number;
  /** What one may do. */
  can(): readonly Right[];
  bySession(session: string): readonly Job[];
  /** Those that are in a stage for longer than that, a minute by default; `null` is no limit. */
  stalled(afterMs?: number | null): readonly Job[];
  /** The time by the hub's clock, in milliseconds; changes each second. */
  now(): number;
  /** The ids of `watch`. */
  watched(): readonly string[];
  watch(id: string): void;
  unwatch(id: string): void;
  /** Connects again at once. */
  refresh(): void;
  /** Resolves once the jobs shown include it; rejects with `ActRefused`. */
  cancel(id: string, options?: ActOptions & { reason?: string }): Promise<Job | undefined>;
  retry(id: string, options?: ActOptions): Promise<Job | undefined>;
  acknowledge(id: string, options?: ActOptions & { note?: string; undo?: boolean }): Promise<Job | undefined>;
  remove(id: string, options?: ActOptions): Promise<Job | undefined>;
  /** Ends the signals; the client stays. */
  release(): void;
}

export function JobProvider(props: JobProviderProps): any;
export function useJobs(): JobSignals;
export function createJobs(client: Jobs): JobSignals;
