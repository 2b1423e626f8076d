// One small page in each framework: a list of jobs, by the binding of that name.

export const FRAMEWORKS = {
  async react(root, options) {
    const { createElement, StrictMode, useEffect, useState } = (await import("react")).default; // no ES module
    const { createRoot } = (await import("react-dom/client")).default;
    const { JobProvider, useJob, useJobs, useNow } = await import("./react.js");
    const Row = ({ id }) => createElement("li", { id }, `${id} ${useJob(id)?.stage}`);
    const List = () => {
      const all = useJobs(), { jobs, status, watched } = all;
      window.all = all;
      const rows = jobs.map(({ id }) => createElement(Row, { id, key: id }));
      return createElement("div", {
        id: "list", "data-state": status.state, "data-active": all.active, "data-watched": watched.join(),
        "data-stalled": all.stalled().map(({ id }) => id).join(), "data-now": useNow(100),
      }, rows);
    };
    const Page = () => {
      const [given, set] = useState(options);
      window.setOptions = (more) => set((before) => ({ ...before, ...more }));
      useEffect(() => { window.given = given; }); // after the effects of the provider
      return createElement(JobProvider, given, createElement(List));
    };
    createRoot(root).render(createElement(StrictMode, null, createElement(Page)));
  },

  async solid(root, options) {
    const { createComponent, createEffect, For } = await import("solid-js");
    const { insert, render } = await import("solid-js/web");
    const { JobProvider, useJobs } = await import("./solid.js");
    const List = () => {
      const jobs = useJobs(), list = document.createElement("div");
      list.id = "list";
      createEffect(() => Object.assign(list.dataset, { state: jobs.status().state, active: jobs.active() }));
      const row = (id) => {
        const item = document.createElement("li");
        item.id = id;
        insert(item, () => `${id} ${jobs.job(id)?.stage}`);
        return item;
      };
      insert(list, createComponent(For, { get each() { return jobs.ids(); }, children: row }));
      return list;
    };
    render(() => createComponent(JobProvider, { ...options, get children() { return createComponent(List, {}); } }), root);
  },
};

const { framework, hub } = document.documentElement.dataset;
await FRAMEWORKS[framework](document.getElementById("root"), { url: hub });
