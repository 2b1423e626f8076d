// For Solid 2: the same file serves both.
export * from "./solid.js";
