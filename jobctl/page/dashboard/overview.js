// What stands above the table: the counts, which are filters, and the last hour in two small plots.

import { hrefOf, SHOWN } from "./address.js";
import { make, makeSvg, setAttribute, Text } from "./dom.js";
import { PARTS } from "./hour.js";
import { countText, duration } from "./model.js";

const WIDTH = 180, HEIGHT = 36;
const NAMES = { running: "Running", pending: "Queued", stalled: "Stalled", lost: "Lost", failed: "Failed", cancelled: "Cancelled", completed: "Completed" };

export class Counts {
  constructor(context) {
    this._context = context;
    this.element = make("nav", { id: "counts", "aria-label": "Jobs by state" });
    this._items = SHOWN.map((kind) => {
      const number = make("span", { class: "number" });
      const link = make("a", { class: "count", "data-show": kind, "data-kind": kind }, number, make("span", { class: "name" }, NAMES[kind]));
      this.element.append(link);
      return { kind, link, text: new Text(number) };
    });
  }

  update(counts) {
    for (const { kind, link, text } of this._items) {
      text.set(countText(counts[kind]));
      setAttribute(link, "data-none", counts[kind] ? "no" : "yes");
    }
  }

  setView(view) {
    for (const { kind, link } of this._items) {
      const isShown = view.show === kind;
      link.href = hrefOf({ ...view, show: isShown ? null : kind }, this._context.settings.base);
      if (isShown) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }
}

/** How many jobs ended in each part of the last hour, and how long they took. */
export class Plots {
  constructor() {
    this._ended = new Plot("Ended last hour", ["completed", "cancelled", "failed"]);
    this._took = new Plot("Median time", ["median"]);
    this.element = make("div", { id: "plots" }, this._ended.element, this._took.element);
  }

  update({ parts, completed, failed, cancelled, median }) {
    const total = completed + failed + cancelled;
    this._ended.say(countText(total), failed ? `${countText(failed)} failed` : "");
    this._took.say(median === null ? "–" : duration(median), "");
    const most = Math.max(1, ...parts.map((part) => part.completed + part.failed + part.cancelled));
    const step = WIDTH / PARTS, paths = { completed: "", cancelled: "", failed: "" };
    parts.forEach((part, at) => {
      let y = HEIGHT;
      for (const kind of ["completed", "cancelled", "failed"]) {
        if (!part[kind]) continue;
        const height = Math.max(1.5, (part[kind] / most) * (HEIGHT - 1));
        y -= height;
        paths[kind] += `M${round(at * step + 0.5)} ${round(y)}h${round(step - 1)}v${round(height)}h${round(1 - step)}z`;
      }
    });
    for (const kind of Object.keys(paths)) this._ended.draw(kind, paths[kind]);
    this._ended.describe(`${total} jobs ended in the last hour: ${completed} completed, ${failed} failed, ${cancelled} cancelled. At most ${most} in two minutes.`);
    const longest = Math.max(1, ...parts.map((part) => part.median ?? 0));
    let line = "";
    parts.forEach((part, at) => {
      if (part.median === null) return;
      const height = Math.max(1.5, (part.median / longest) * (HEIGHT - 1));
      line += `M${round(at * step + 0.5)} ${round(HEIGHT - height)}h${round(step - 1)}v${round(height)}h${round(1 - step)}z`;
    });
    this._took.draw("median", line);
    this._took.describe(median === null ? "No job completed in the last hour." : `The median of the jobs that completed in the last hour took ${duration(median)}; of two minutes at most ${duration(longest)}.`);
  }
}

class Plot {
  constructor(name, kinds) {
    const number = make("span", { class: "number" }), more = make("span", { class: "more" });
    this._number = new Text(number);
    this._more = new Text(more);
    this._paths = Object.fromEntries(kinds.map((kind) => [kind, makeSvg("path", { class: kind })]));
    const base = makeSvg("path", { class: "base", d: `M0 ${HEIGHT - 0.5}h${WIDTH}` });
    this._svg = makeSvg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", preserveAspectRatio: "none" }, base, ...Object.values(this._paths));
    const words = make("figcaption", {}, make("span", { class: "name" }, name), number, more);
    this.element = make("figure", {}, words, this._svg);
  }

  say(number, more) {
    this._number.set(number);
    this._more.set(more);
  }

  draw(kind, path) {
    setAttribute(this._paths[kind], "d", path);
  }

  describe(text) {
    setAttribute(this._svg, "aria-label", text);
    setAttribute(this.element, "title", text);
  }
}

function round(number) {
  return Math.round(number * 100) / 100;
}
