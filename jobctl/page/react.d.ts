import type { ReactElement, ReactNode } from "react";
import type { ActOptions, Job, Jobs, Options, Right, Snapshot } from "./client.js";

export interface JobProviderProps extends Omit<Options, "start"> {
  children?: ReactNode;
  /** A client that you have made, and that you close. The other options are not used then. */
  client?: Jobs | null;
}

export interface UseJobs extends Snapshot {
  /** How many are at work. */
  readonly active: number;
  /** What one may do. */
  readonly can: readonly Right[];
  job(id: string): Job | undefined;
  bySession(session: string): readonly Job[];
  /** Those that are in a stage for longer than that, a minute by default; `null` is no limit. */
  stalled(afterMs?: number | null): readonly Job[];
  /** The ids of `watch`, for all components below the provider. */
  readonly watched: readonly string[];
  watch(id: string): void;
  unwatch(id: string): void;
  /** Connects again at once. */
  refresh(): void;
  /** Resolves once the jobs shown include it; rejects with `ActRefused`. */
  cancel(id: string, options?: ActOptions & { reason?: string }): Promise<Job | undefined>;
  retry(id: string, options?: ActOptions): Promise<Job | undefined>;
  acknowledge(id: string, options?: ActOptions & { note?: string; undo?: boolean }): Promise<Job | undefined>;
  remove(id: string, options?: ActOptions): Promise<Job | undefined>;
}

export function JobProvider(props: JobProviderProps): ReactElement;
export function useJobs(): UseJobs;
export function useJob(id: string): Job | undefined;
export function useClient(): Jobs;
/** The time by the hub's clock, in milliseconds; renders again each second, or as often as told. */
export function useNow(everyMs?: number): number;
