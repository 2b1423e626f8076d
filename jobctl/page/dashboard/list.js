// The table of jobs.

import { describe, standing, timesOf, wholeSeconds } from "./model.js";

export function listPage(context) {
  const element = document.createElement("section");
  const rows = document.createElement("div");
  rows.id = "rows";
  element.append(rows);
  const shown = new Map();
  const draw = () => {
    const now = context.now();
    const keep = new Set();
    for (const job of context.jobs.all().slice(0, 500)) {
      keep.add(job.id);
      let row = shown.get(job.id);
      if (!row) {
        row = document.createElement("div");
        row.dataset.id = job.id;
        shown.set(job.id, row);
        rows.append(row);
      }
      const { kind } = standing(job, now, context.pipelineOf);
      const said = describe(job, job, kind, context.pipelineOf);
      row.dataset.kind = kind;
      const link = document.createElement("a");
      link.href = `${context.settings.base}/jobs/${encodeURIComponent(job.id)}`;
      link.textContent = said.name;
      row.replaceChildren(link, ` ${said.stage} ${said.percent ?? ""} ${said.message || said.error} `
        + wholeSeconds(timesOf(job, now).took));
    }
    for (const [id, row] of shown) {
      if (keep.has(id)) continue;
      row.remove();
      shown.delete(id);
    }
    const { state, detail } = context.jobs.status;
    const told = document.getElementById("state");
    told.dataset.state = state;
    told.textContent = state === "open" ? "live" : detail || state;
  };
  draw();
  return { element, update: draw, tick() {}, key() { return false; }, close() {} };
}
