// The colours in a log: the escape sequences "\x1b[…m" (ECMA-48, SGR). The hub sends no others.

const SGR = /\x1b\[([0-9;:]*)m/;
const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

/** The style of text without any sequence. */
export const PLAIN = Object.freeze({ colour: "", bold: false, dim: false });

/** Split a text: [{text, style}], and the style after it. A sequence that is cut stays text. */
export function split(text, style = PLAIN) {
  const pieces = [];
  let rest = text;
  for (let found; (found = SGR.exec(rest)); rest = rest.slice(found.index + found[0].length)) {
    if (found.index) pieces.push({ text: rest.slice(0, found.index), style });
    style = changed(style, found[1]);
  }
  if (rest) pieces.push({ text: rest, style });
  return { pieces, style };
}

/** The classes of the style, or "". */
export function classesOf({ colour, bold, dim }) {
  return [colour && `sgr-${colour}`, bold && "sgr-bold", dim && "sgr-dim"].filter(Boolean).join(" ");
}

function changed(style, text) {
  const codes = text.split(/[;:]/).map(Number);
  let now = style;
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at];
    if (code === 0) now = PLAIN;
    else if (code === 1) now = { ...now, bold: true };
    else if (code === 2) now = { ...now, dim: true };
    else if (code === 22) now = { ...now, bold: false, dim: false };
    else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) now = { ...now, colour: NAMES[code % 10] };
    else if (code === 39) now = { ...now, colour: "" };
    else if (code === 38 || code === 48) at += codes[at + 1] === 5 ? 2 : codes[at + 1] === 2 ? 4 : 0; // other palettes
  }
  return now;
}
