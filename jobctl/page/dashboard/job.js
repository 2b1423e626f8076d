// A job's page. A stub: it shows the id.

export function jobPage(context, id) {
  const element = document.createElement("article");
  element.dataset.page = "job";
  element.textContent = id;
  return { element, update() {}, tick() {}, key() { return false; }, close() {} };
}
