// The view that an address names, and the address of a view. Pure functions.
//
// A view is {job, filter, q, show, sort, kiosk}:
//   job     the id of the job whose page it is, or null for the table
//   filter  what the hub sends: {type, stage, session, label, id} are lists, {active} is a boolean
//   q       the words that are searched for
//   show    one of SHOWN, or null: only jobs that are counted as this
//   sort    one of SORTS, with "-" before it for the other direction, or null: trouble first
//   kiosk   whether it is for a screen on a wall

const LISTS = ["type", "stage", "session", "label", "id"];

/** What a job is counted as, in the order of the counts. */
export const SHOWN = ["running", "pending", "stalled", "lost", "failed", "cancelled", "completed"];

/** The columns that the table can be sorted by. */
export const SORTS = ["job", "type", "session", "stage", "done", "detail", "who", "started", "ended", "took"];

/** The view of everything. */
export function emptyView() {
  return { job: null, filter: { ...emptyFilter() }, q: "", show: null, sort: null, kiosk: false };
}

function emptyFilter() {
  return { type: [], stage: [], session: [], label: [], id: [], active: false };
}

/** The view that this URL names; `base` is the path under which the hub serves its pages. */
export function viewOf(url, base = "") {
  const { pathname, searchParams } = new URL(url);
  const path = pathname.startsWith(base) ? pathname.slice(base.length) : pathname;
  const view = emptyView();
  const [, id] = /^\/jobs\/([^/]+)\/?$/.exec(path) ?? [];
  if (id !== undefined) view.job = decoded(id);
  for (const key of LISTS) view.filter[key] = [...new Set(searchParams.getAll(key))].filter((text) => text !== "");
  const active = searchParams.get("active");
  view.filter.active = active !== null && active !== "" && active !== "0";
  view.q = searchParams.get("q") ?? "";
  const show = searchParams.get("show");
  view.show = SHOWN.includes(show) ? show : null;
  const sort = searchParams.get("sort") ?? "";
  view.sort = SORTS.includes(sort.replace(/^-/, "")) ? sort : null;
  view.kiosk = searchParams.get("kiosk") === "1";
  return view;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address of the view, as a path with its query. */
export function hrefOf(view, base = "") {
  const query = new URLSearchParams();
  if (view.filter.active) query.set("active", "1");
  for (const key of LISTS) for (const text of view.filter[key]) query.append(key, text);
  for (const key of ["q", "show", "sort"]) if (view[key]) query.set(key, view[key]);
  if (view.kiosk) query.set("kiosk", "1");
  const path = view.job === null ? "/" : `/jobs/${encodeURIComponent(view.job)}`;
  return base + path + (query.size ? `?${query}` : "");
}

/** What is sent to the hub: the filter without empty lists. */
export function hubFilter({ filter }) {
  const sent = {};
  for (const key of LISTS) if (filter[key].length) sent[key] = filter[key];
  if (filter.active) sent.active = true;
  return sent;
}

/** Whether both views are sent the same jobs. */
export function hasSameFilter(one, other) {
  return JSON.stringify(hubFilter(one)) === JSON.stringify(hubFilter(other));
}

/** The filter as a list of chips: {key, value, text}; removing one is `without`. */
export function chipsOf({ filter }) {
  const chips = filter.active ? [{ key: "active", value: true, text: "active" }] : [];
  for (const key of LISTS) for (const value of filter[key]) chips.push({ key, value, text: `${key} ${value}` });
  return chips;
}

/** The view with one more value in its filter. */
export function withFilter(view, key, value) {
  const filter = { ...view.filter, [key]: key === "active" ? true : [...new Set([...view.filter[key], value])] };
  return { ...view, filter };
}

/** The view without one value of its filter. */
export function withoutFilter(view, key, value) {
  const left = key === "active" ? false : view.filter[key].filter((text) => text !== value);
  return { ...view, filter: { ...view.filter, [key]: left } };
}
