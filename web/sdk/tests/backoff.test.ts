import { expect, it } from "vitest";
import { Backoff } from "../src/backoff";

it("the first retry is immediate, later ones double up to a limit", () => {
  const backoff = new Backoff(250, 1000, () => 0);
  expect([1, 2, 3, 4, 5].map(() => backoff.next())).toEqual([0, 250, 500, 1000, 1000]);
  backoff.reset();
  expect(backoff.next()).toBe(0);
});

it("delays are shortened by chance, so that many clients do not come at once", () => {
  const backoff = new Backoff(300, 1000, () => 1);
  backoff.next();
  expect(backoff.next()).toBeCloseTo(200);
});
