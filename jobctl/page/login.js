// A link printed by `jobctl serve` has the token in its fragment, which browsers do not send. Remove it
// from the address first, then send it as if it had been typed.

const token = new URLSearchParams(location.hash.slice(1)).get("token");
if (token !== null) {
  history.replaceState(null, "", location.pathname + location.search);
  const form = document.querySelector("form");
  form.elements.token.value = token;
  form.submit();
}
