import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { type Pixels, readTestCard } from "../src/testcard";

/** Frame 15 of a card at 15 fps, drawn by libs/testkit at 160x90: one byte of luma a pixel. */
function card(): Pixels {
  const luma = readFileSync(new URL("./support/card-160x90.luma", import.meta.url));
  const data = new Uint8ClampedArray(luma.length * 4);
  for (const [index, value] of luma.entries()) data.set([value, value, value, 255], index * 4);
  return { width: 160, height: 90, data };
}

/** The same picture, every pixel repeated: what a browser shows on a dense screen. */
function enlarged(picture: Pixels, by: number): Pixels {
  const width = picture.width * by;
  const data = new Uint8ClampedArray(width * picture.height * by * 4);
  for (let at = 0; at < data.length; at += 4) {
    const x = Math.floor(((at / 4) % width) / by);
    const y = Math.floor(at / 4 / width / by);
    for (let channel = 0; channel < 4; channel++) {
      data[at + channel] = picture.data[(y * picture.width + x) * 4 + channel] ?? 0;
    }
  }
  return { width, height: picture.height * by, data };
}

describe("readTestCard", () => {
  it("reads clock, counter and flash as the generator drew them", () => {
    expect(readTestCard(card())).toEqual({
      unixMs: 1795363836112,
      counter: 15,
      flash: true,
      flashSeen: true,
    });
  });

  it("reads the same at another size", () => {
    expect(readTestCard(enlarged(card(), 4))).toEqual(readTestCard(card()));
  });

  it("finds no card in another picture", () => {
    const { width, height } = card();
    const data = new Uint8ClampedArray(width * height * 4).map((_, at) => (at * 7919) % 251);
    expect(readTestCard({ width, height, data })).toBeNull();
    expect(readTestCard({ width: 8, height: 8, data })).toBeNull();
  });

  it("notices a cell that changed", () => {
    const picture = card();
    const data = Uint8ClampedArray.from(picture.data);
    for (let y = 0; y < 5; y++) {
      for (let x = 7; x < 12; x++) {
        const at = (y * picture.width + x) * 4;
        for (let channel = 0; channel < 3; channel++)
          data[at + channel] = 255 - (data[at + channel] ?? 0);
      }
    }
    expect(readTestCard({ ...picture, data })).toBeNull();
  });
});
