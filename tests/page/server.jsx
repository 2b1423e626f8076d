// The same page as a server renders it: prints the HTML.

import { renderToString } from "solid-web";
import { App } from "./cards.jsx";

console.log(renderToString(() => <App url="http://127.0.0.1:1" />));
