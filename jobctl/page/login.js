// A link printed by `jobctl serve` has the token in its fragment, which browsers do not send, and a
// link of `jobctl serve --open` has a ticket there, which is valid once. Remove it from the address
// first, then send it as if it had been typed.

const given = new URLSearchParams(location.hash.slice(1));
const name = given.has("ticket") ? "ticket" : "token";
if (given.has(name)) {
  history.replaceState(null, "", location.pathname + location.search);
  const form = document.querySelector("form");
  const field = form.elements.token;
  field.name = name;
  field.value = given.get(name);
  form.submit();
}
