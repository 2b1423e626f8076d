// What a session may do to jobs, on one or on many: the question before it, the acts, and how they
// ended. The jobs that are shown change with the hub's next delta, and no sooner.

import { isAcknowledged } from "../client.js";
import { make, Text } from "./dom.js";
import { isActive, nameOf } from "./model.js";

const AT_ONCE = 8; // acts that wait for an answer; how fast they are sent is for client.js
const MAX_TRIES = 5; // of one act while the hub is busy
const MAX_NAMED = 5;
const TYPED = 20; // for more jobs than this the number has to be typed
const HOPELESS = new Set(["forbidden", "read-only", "unsupported", "closed"]); // for all others too

/** What can be done, in the order of the buttons: the right that it needs, and the jobs it is for. */
export const ACTS = {
  cancel: { name: "Cancel", done: "cancelled", right: "operate", text: "reason", may: isActive },
  retry: {
    name: "Retry", done: "begun again", right: "operate",
    may: (job, pipelineOf) => job.stage === "failed" && pipelineOf(job.type).takesRetries === true,
  },
  acknowledge: {
    name: "Acknowledge", done: "acknowledged", right: "operate", text: "note",
    may: (job) => (job.derived.lost || (job.stage === "failed" && !job.derived.cancelled)) && !isAcknowledged(job),
  },
  remove: { name: "Remove", done: "removed", right: "admin", may: (job) => !isActive(job) },
};

/** The acts for this job by a session with these rights: some of cancel, retry, acknowledge, remove. */
export function actsFor(job, can, pipelineOf) {
  return Object.keys(ACTS).filter((verb) => can.includes(ACTS[verb].right) && ACTS[verb].may(job, pipelineOf));
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Do `act(id)` for each id, some at once. Returns {done, refused: [{id, message}], left}; `left` are
 * those that were not tried, after the signal or after a refusal that all others would get too.
 */
export async function actOnAll(act, ids, { onprogress = () => {}, signal, wait = pause } = {}) {
  const result = { done: 0, refused: [], left: ids.length };
  let next = 0, hopeless = false;
  const isOver = () => hopeless || signal?.aborted || next >= ids.length;
  const one = async (id, tries = 1) => {
    try {
      await act(id);
      result.done += 1;
    } catch (error) {
      if (error.code === "busy" && tries < MAX_TRIES && !signal?.aborted) {
        await wait(1000 * (error.retryAfterS ?? 1));
        return one(id, tries + 1);
      }
      if (HOPELESS.has(error.code)) hopeless = true;
      result.refused.push({ id, message: error.hint ? `${error.message}: ${error.hint}` : error.message });
    }
  };
  const worker = async () => {
    while (!isOver()) {
      const id = ids[next++];
      result.left -= 1;
      await one(id);
      onprogress(result);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, ids.length) }, worker));
  return result;
}

/** "3 cancelled, 1 refused". */
export function resultText(verb, { done, refused, left }) {
  const parts = [`${done} ${ACTS[verb].done}`];
  if (refused.length) parts.push(`${refused.length} refused`);
  if (left) parts.push(`${left} not tried`);
  return parts.join(", ");
}

/** Ask whether to do it to these jobs, and do it. Resolves when the dialog is closed. */
export function askAndAct(context, verb, jobs) {
  return new Promise((resolve) => new Question(context, verb, jobs, resolve));
}

class Question {
  constructor(context, verb, jobs, resolve) {
    this._context = context;
    this._verb = verb;
    this._ids = jobs.map(({ id }) => id);
    this._abort = new AbortController();
    const { name, text } = ACTS[verb], count = jobs.length;
    const what = count === 1 ? nameOf(jobs[0], context.pipelineOf) : `${count} jobs`;
    const named = jobs.slice(0, MAX_NAMED).map((job) => make("li", {}, `${nameOf(job, context.pipelineOf)} `, make("code", {}, job.id)));
    if (count > MAX_NAMED) named.push(make("li", {}, `and ${count - MAX_NAMED} more`));
    this._text = text && make("input", { name: "text", maxlength: "500", autocomplete: "off" });
    this._number = count > TYPED && make("input", { name: "number", inputmode: "numeric", autocomplete: "off", pattern: String(count), required: true });
    this._do = make("button", { class: verb === "remove" || verb === "cancel" ? "danger" : "plain" }, count === 1 ? name : `${name} ${count} jobs`);
    this._back = make("button", { type: "button" }, "Go back");
    const told = make("p", { role: "status", class: "told" });
    this._told = new Text(told);
    this._refused = make("ul", { class: "refused" });
    this._form = make("form", {}, make("h2", { id: "act-title" }, `${name} ${what}?`), make("ul", { class: "named" }, ...named));
    if (this._text) this._form.append(make("label", {}, `${text === "note" ? "Note" : "Reason"} (shown with the job)`, this._text));
    if (this._number) this._form.append(make("label", {}, `Type ${count} to go on`, this._number));
    this._form.append(told, this._refused, make("div", { class: "buttons" }, this._back, this._do));
    this._dialog = make("dialog", { id: "act", "aria-labelledby": "act-title" }, this._form);
    this._form.addEventListener("submit", (event) => {
      event.preventDefault();
      this._act();
    });
    this._back.addEventListener("click", () => this._dialog.close());
    this._dialog.addEventListener("close", () => {
      this._abort.abort();
      this._dialog.remove();
      resolve();
    });
    document.body.append(this._dialog);
    this._dialog.showModal();
    (this._text || this._number || this._do).focus();
  }

  async _act() {
    const { jobs } = this._context, { text } = ACTS[this._verb], said = this._text?.value.trim();
    const options = said ? { [text]: said } : {};
    this._do.hidden = true;
    this._back.textContent = "Stop";
    for (const input of [this._text, this._number]) if (input) input.disabled = true;
    const result = await actOnAll((id) => jobs[this._verb](id, options), this._ids, {
      signal: this._abort.signal, onprogress: (so) => this._told.set(resultText(this._verb, so)),
    });
    if (!this._dialog.open) return;
    if (!result.refused.length) return this._dialog.close();
    this._told.set(resultText(this._verb, result));
    this._refused.replaceChildren(...result.refused.slice(0, MAX_NAMED).map(({ id, message }) => make("li", {}, make("code", {}, id), ` ${message}`)));
    this._back.textContent = "Close";
  }
}
