import type Hls from "hls.js";
import { expect, it } from "vitest";
import { Pathways } from "../src/player/pathways";

type Steered = Parameters<Pathways["leaves"]>[0];
const on = (pathwayId: string, ...pathways: string[]): Steered => ({
  levels: [{ pathwayId }] as unknown as Hls["levels"],
  loadLevel: 0,
  pathways,
});

it("stays where there is nothing else", () => {
  expect(new Pathways().leaves(on("main", "main"))).toBe(false);
  expect(new Pathways().leaves({ ...on("main"), levels: [] })).toBe(false);
});

it("leaves for another pathway, with all requests that fail together", () => {
  const pathways = new Pathways();
  expect(pathways.leaves(on("main", "main", "edge-2"))).toBe(true);
  expect(pathways.leaves(on("main", "main", "edge-2"))).toBe(true);
});

it("does not come back to one that failed, but waits where it is", () => {
  const pathways = new Pathways();
  pathways.leaves(on("main", "main", "edge-2"));
  expect(pathways.leaves(on("edge-2", "main", "edge-2"))).toBe(false);
});

it("goes on to a third one, and back to the first after its penalty", () => {
  let now = 0;
  const pathways = new Pathways(() => now);
  pathways.leaves(on("main", "main", "edge-2", "edge-3"));
  expect(pathways.leaves(on("edge-2", "main", "edge-2", "edge-3"))).toBe(true);
  expect(pathways.leaves(on("edge-3", "main", "edge-2", "edge-3"))).toBe(false);
  now = 300_001;
  expect(pathways.leaves(on("edge-3", "main", "edge-2", "edge-3"))).toBe(true);
});
