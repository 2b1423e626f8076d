/**
 * A job as the hub sends it, and what follows from it. A job that changes is another object; each is
 * frozen with all that is in it (10,000 jobs take 10 ms for that), so it may be shared and compared
 * by identity.
 */
export interface Job {
  readonly id: string;
  readonly type: string;
  readonly stage: string;
  readonly revision: number;
  readonly sessionId?: string | null;
  readonly createdAt: string;
  readonly updatedAt?: string | null;
  readonly completedAt?: string | null;
  readonly stageStartedAt?: string | null;
  readonly error?: string | null;
  readonly retryCount?: number;
  readonly resultSessionId?: string | null;
  readonly title?: string | null;
  readonly message?: string | null;
  /** Of the present stage: a percentage, or so many of so many. */
  readonly progress?: number | { readonly done: number; readonly total: number } | null;
  readonly stages?: readonly string[] | null;
  readonly history?: readonly { readonly stage: string; readonly at: string; readonly attempt?: number }[] | null;
  readonly result?: unknown;
  readonly labels?: Readonly<Record<string, string>> | null;
  readonly parent?: string | null;
  readonly derived: {
    readonly active: boolean;
    readonly cancelled: boolean;
    readonly lost: boolean;
    readonly remarks?: readonly string[];
    readonly missing?: readonly string[];
    /** Beside a job with some of its fields: for the functions below. */
    readonly facts?: Readonly<Record<string, unknown>>;
  };
  readonly [key: string]: unknown;
}

export type State = "idle" | "connecting" | "open" | "closed" | "resting" | "error" | "rebasing";

export type Right = "view" | "details" | "report" | "operate" | "admin" | (string & {});

export interface Status {
  readonly state: State;
  /** Why, in a few words. */
  readonly detail: string;
  /** Whether it is open, and everything up to the present has been read. */
  readonly synced: boolean;
  /** When the next try is made, in milliseconds since 1970. */
  readonly retryAt: number | null;
  /** Since when it is in this state, in milliseconds since 1970. */
  readonly since: number;
  readonly cursor: string | null;
  /** How often what was held was not what the hub held. */
  readonly diverged: number;
  /** The hub wants a token, or another one. */
  readonly needsToken: boolean;
  /** What this session may do; empty until the hub has said it, or if it knows no acts. */
  readonly can: readonly Right[];
}

export interface Counts {
  readonly total: number;
  /** pending + running + lost */
  readonly active: number;
  readonly pending: number;
  readonly running: number;
  readonly lost: number;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
}

export interface Change {
  /** Those that have changed, or are new. */
  readonly jobs: readonly Job[];
  /** The ids of those that are new. */
  readonly added: readonly string[];
  readonly gone: readonly string[];
  /** For each id in `gone`: "removed", "filtered" or "damaged: …". */
  readonly why?: Readonly<Record<string, string>>;
  /** The hub has sent everything anew; the jobs that are as they were are not in `jobs`. */
  readonly reset: boolean;
  readonly status: Status | null;
}

export interface Snapshot {
  readonly jobs: readonly Job[];
  readonly counts: Counts;
  readonly status: Status;
}

export interface Filter {
  type?: string | readonly (string | null | undefined)[] | null;
  stage?: string | readonly (string | null | undefined)[] | null;
  id?: string | readonly (string | null | undefined)[] | null;
  session?: string | readonly (string | null | undefined)[] | null;
  label?: string | readonly (string | null | undefined)[] | null;
  active?: boolean;
}

export interface Options {
  /** The hub: `http://127.0.0.1:8765`, a path on this page's host, or a `ws:` URL. */
  url?: string;
  filter?: Filter;
  /**
   * The keys of each job that the page needs, beside id, type, stage, createdAt and revision, which
   * always come; all keys by default. Whatever the functions below tell of a job stays the same. A
   * hub of jobctl 0.1.0 sends whole jobs. `until()` of a stage that may have passed needs `history`.
   */
  fields?: readonly string[] | null;
  /** The hub's token, or a function that returns it, within a minute, before each connection. */
  token?: string | null | (() => string | null | Promise<string | null>);
  onchange?: (jobs: Jobs, change: Change) => void;
  /** Whether to connect at once; `reconnect()` does it later. */
  start?: boolean;
  /** Whether to disconnect while the page is hidden for over five minutes. */
  rest?: boolean;
  /** Whether to compare with the hub's digest every half minute. */
  verify?: boolean;
  /** The class of the socket, where there is no window: `globalThis.WebSocket` in Node 22. */
  WebSocket?: typeof WebSocket;
}

export class JobError extends Error {
  readonly job?: Job;
}

export type RefusalCode =
  | "forbidden" | "conflict" | "gone" | "invalid" | "read-only" | "busy" | "unsupported" | "closed" | (string & {});

/** The hub has not done what was asked, or ("closed") there is no connection to ask by. */
export class ActRefused extends Error {
  readonly code: RefusalCode;
  /** What to do next. */
  readonly hint: string | null;
  /** With "conflict": the job as it stands. */
  readonly job?: Job;
  /** With "busy": when to try again, in seconds. */
  readonly retryAfterS: number | null;
}

export interface ActOptions {
  /** The attempt (`retryCount`) that the act is for; that of the job shown by default. */
  attempt?: number;
  /** Ends the waiting. What has been sent is done all the same. */
  signal?: AbortSignal;
}

export interface Jobs {
  get(id: string): Job | undefined;
  all(): readonly Job[];
  readonly counts: Counts;
  readonly status: Status;
  now(): number;
  subscribe(listener: (change: Change) => void): () => void;
  getSnapshot(): Snapshot;
  getServerSnapshot(): Snapshot;
  /** Resolves once the job is gone; `JobError` if the hub refuses, or after `close()`. */
  until(id: string, what: "gone", options?: { signal?: AbortSignal }): Promise<undefined>;
  /** `JobError` as soon as that cannot come, the hub refuses, or after `close()`. */
  until(
    id: string,
    what?: "completed" | "terminal" | (string & {}),
    options?: { signal?: AbortSignal },
  ): Promise<Job>;
  /** Changes from now until `close()`, merged while you are busy. End it with `return()`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Change>;
  /** The rights of `status.can`. */
  readonly can: readonly Right[];
  /**
   * Each act resolves with the job once what is shown includes it; undefined if it is not shown any
   * more. A job at work is told to end, so `cancel` may resolve before it has ended.
   */
  cancel(id: string, options?: ActOptions & { reason?: string }): Promise<Job | undefined>;
  retry(id: string, options?: ActOptions): Promise<Job | undefined>;
  acknowledge(id: string, options?: ActOptions & { note?: string; undo?: boolean }): Promise<Job | undefined>;
  remove(id: string, options?: ActOptions): Promise<Job | undefined>;
  reconnect(): void;
  close(): void;
}

export function connect(options?: Options): Jobs;
/** What a job's record means. Times are in milliseconds since 1970, NaN where none is known. */
export function isCancelled(job: Job): boolean;
/** By whom and why it was cancelled; null if it was not. */
export function cancellation(job: Job): { by: string | null; reason: string | null } | null;
/** Whether somebody has acknowledged that this attempt has failed or is lost. */
export function isAcknowledged(job: Job): boolean;
/** Whether the job's history is of its present attempt. */
export function isRecordedAttempt(job: Job): boolean;
/** Whether its progress and message are of an earlier stage. */
export function movedByOthers(job: Job): boolean;
/** Whether it is in its stage for longer than that, a minute by default; `null` is no limit. */
export function isStalled(job: Job, nowMs: number, afterMs?: number | null): boolean;
/** The time in a record; NaN for what is no time, or a placeholder such as the year 1. */
export function knownMs(text: unknown): number;
/** When it entered its stage. */
export function enteredMs(job: Job): number;
/** When its present attempt began. */
export function beganMs(job: Job): number;
/** When it ended, or `nowMs` while it is active. */
export function endedMs(job: Job, nowMs: number): number;
/** The last stage of its strip that the job was in; null if that is not known. */
export function lastStage(job: Job): string | null;
/** Program and first argument of a command of `jobctl run`; empty for other jobs, null if it may not be seen. */
export function programOf(job: Job): readonly string[] | null;
/** The epoch of the store that the cursor in `status` is of: revisions of another one cannot be compared. */
export function storeEpoch(cursor: string): string;
