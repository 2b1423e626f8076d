// As in Solid 1.9.
export * from "./solid.js";
